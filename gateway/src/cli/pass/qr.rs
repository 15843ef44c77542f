//! QR codes: written as pictures, and read from them.

use std::fmt::Write;

use anyhow::{Result, anyhow};
use qrcode::{Color, EcLevel, QrCode};

use super::picture::{Picture, SIDE_PIXELS_MAX};

/// White modules around a code, as ISO/IEC 18004 asks.
const QUIET_MODULES: usize = 4;

/// Side of a module of a written picture, in pixels.
const MODULE_PIXELS: usize = 8;

/// A code of dark and light modules, with its white frame.
struct Modules {
    side: usize,
    dark: Vec<(usize, usize)>,
}

fn modules(text: &str) -> Result<Modules> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)
        .or_else(|_| QrCode::with_error_correction_level(text, EcLevel::L))
        .map_err(|error| anyhow!("the pass does not fit into a QR code: {error}"))?;
    let width = code.width();
    let places = (0..width).flat_map(|y| (0..width).map(move |x| (x + QUIET_MODULES, y + QUIET_MODULES)));
    let dark = places.zip(code.into_colors()).filter(|(_, colour)| *colour == Color::Dark);
    Ok(Modules { side: width + 2 * QUIET_MODULES, dark: dark.map(|(place, _)| place).collect() })
}

/// A PNG picture of `text`.
pub(super) fn png(text: &str) -> Result<Vec<u8>> {
    let Modules { side, dark } = modules(text)?;
    let mut picture = Picture::filled(side * MODULE_PIXELS, side * MODULE_PIXELS, 255);
    for (x, y) in dark {
        for row in y * MODULE_PIXELS..(y + 1) * MODULE_PIXELS {
            let start = row * picture.width + x * MODULE_PIXELS;
            picture.pixels.iter_mut().skip(start).take(MODULE_PIXELS).for_each(|pixel| *pixel = 0);
        }
    }
    picture.to_png()
}

/// An SVG picture of `text`, one unit a module.
pub(super) fn svg(text: &str) -> Result<String> {
    let Modules { side, dark } = modules(text)?;
    let mut path = String::with_capacity(dark.len() * 16);
    for (x, y) in dark {
        write!(path, "M{x} {y}h1v1h-1z")?;
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\"{path}\"/></svg>\n"
    ))
}

/// The texts of the QR codes in a PNG or JPEG picture, at least one.
pub(super) fn read(content: &[u8]) -> Result<Vec<String>> {
    let picture = Picture::read(content)?;
    let found = |scale: usize| {
        let (width, height) = (picture.width * scale, picture.height * scale);
        let shade = |x, y| picture.shade(x / scale, y / scale);
        let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width, height, shade);
        let texts = prepared.detect_grids().into_iter().filter_map(|grid| grid.decode().ok());
        texts.map(|(_, text)| text).collect::<Vec<_>>()
    };
    // The smallest codes, of one or two pixels a module, are found when they are enlarged.
    let scales = [1, 3].into_iter().filter(|scale| picture.width * scale <= SIDE_PIXELS_MAX);
    let texts = scales.map(found).find(|texts| !texts.is_empty());
    texts.ok_or_else(|| anyhow!("no QR code can be read in the picture: take a sharper or larger one"))
}
