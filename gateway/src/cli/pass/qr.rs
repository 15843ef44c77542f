//! QR codes: written as pictures, and read from them.

use std::fmt::Write;
use std::io::Cursor;

use anyhow::{Context, Result, anyhow};
use image::{GrayImage, ImageFormat, ImageReader, Limits, Luma};
use qrcode::{Color, EcLevel, QrCode};

/// White modules around a code, as ISO/IEC 18004 asks.
const QUIET_MODULES: u32 = 4;

/// Side of a module of a written picture, in pixels.
const MODULE_PIXELS: u32 = 8;

/// Largest picture that is read, in pixels a side, and the memory for it in bytes.
const SIDE_PIXELS_MAX: u32 = 8192;
const PICTURE_BYTES_MAX: u64 = 256 << 20;

/// A code of dark and light modules, with its white frame.
struct Modules {
    side: u32,
    dark: Vec<(u32, u32)>,
}

fn modules(text: &str) -> Result<Modules> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)
        .or_else(|_| QrCode::with_error_correction_level(text, EcLevel::L))
        .map_err(|error| anyhow!("the pass does not fit into a QR code: {error}"))?;
    let width = u32::try_from(code.width())?;
    let places = (0..width).flat_map(|y| (0..width).map(move |x| (x + QUIET_MODULES, y + QUIET_MODULES)));
    let dark = places.zip(code.into_colors()).filter(|(_, colour)| *colour == Color::Dark);
    Ok(Modules { side: width + 2 * QUIET_MODULES, dark: dark.map(|(place, _)| place).collect() })
}

/// A PNG picture of `text`.
pub(super) fn png(text: &str) -> Result<Vec<u8>> {
    let Modules { side, dark } = modules(text)?;
    let mut picture = GrayImage::from_pixel(side * MODULE_PIXELS, side * MODULE_PIXELS, Luma([255]));
    for (x, y) in dark {
        for (right, down) in (0..MODULE_PIXELS).flat_map(|down| (0..MODULE_PIXELS).map(move |right| (right, down))) {
            picture.put_pixel(x * MODULE_PIXELS + right, y * MODULE_PIXELS + down, Luma([0]));
        }
    }
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).context("the picture could not be made")?;
    Ok(bytes.into_inner())
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

/// Whether `content` is a picture that [`read`] reads.
pub(super) fn is_picture(content: &[u8]) -> bool {
    content.starts_with(b"\x89PNG\r\n") || content.starts_with(&[0xff, 0xd8, 0xff])
}

/// The texts of the QR codes in a PNG or JPEG picture, at least one.
pub(super) fn read(content: &[u8]) -> Result<Vec<String>> {
    let mut reader = ImageReader::new(Cursor::new(content)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_PIXELS_MAX);
    limits.max_image_height = Some(SIDE_PIXELS_MAX);
    limits.max_alloc = Some(PICTURE_BYTES_MAX);
    reader.limits(limits);
    // Transparent places are white paper.
    let mut picture = reader.decode().context("the picture is damaged or too large")?.into_luma_alpha8();
    let found = |picture: &image::GrayAlphaImage, scale: usize| {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width * scale, height * scale, |x, y| {
            let place = (u32::try_from(x / scale).unwrap_or_default(), u32::try_from(y / scale).unwrap_or_default());
            picture.get_pixel_checked(place.0, place.1).map_or(255, |pixel| pixel.0[0])
        });
        let texts = prepared.detect_grids().into_iter().filter_map(|grid| grid.decode().ok());
        texts.map(|(_, text)| text).collect::<Vec<_>>()
    };
    for pixel in picture.pixels_mut() {
        let [light, opacity] = pixel.0;
        pixel.0 = [if opacity < 128 { 255 } else { light }, 255];
    }
    // The smallest codes, of one or two pixels a module, are found when they are enlarged.
    let texts = [1, 3].into_iter().filter(|scale| picture.width() * scale <= SIDE_PIXELS_MAX);
    let texts = texts.map(|scale| found(&picture, scale as usize)).find(|texts| !texts.is_empty());
    texts.ok_or_else(|| anyhow!("no QR code can be read in the picture: take a sharper or larger one"))
}
