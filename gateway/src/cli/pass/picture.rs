//! Pictures in shades of grey: read from PNG and JPEG, written as PNG.

use std::io::Cursor;

use anyhow::{Context, Result, anyhow, bail};
use png::{BitDepth, ColorType, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Largest picture that is read, in pixels a side, and the memory for it in bytes.
pub(super) const SIDE_PIXELS_MAX: usize = 8192;
const PICTURE_BYTES_MAX: usize = 256 << 20;

/// First bytes of a PNG and of a JPEG file.
const PNG: &[u8] = b"\x89PNG\r\n";
const JPEG: &[u8] = &[0xff, 0xd8, 0xff];

/// Pixels row by row, from 0 (black) to 255 (white).
pub(super) struct Picture {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<u8>,
}

impl Picture {
    /// A picture of one shade.
    pub(super) fn filled(width: usize, height: usize, shade: u8) -> Self {
        Self { width, height, pixels: vec![shade; width * height] }
    }

    /// Whether `content` is a picture that [`Picture::read`] reads.
    pub(super) fn is_picture(content: &[u8]) -> bool {
        content.starts_with(PNG) || content.starts_with(JPEG)
    }

    /// A PNG or JPEG picture, at most [`SIDE_PIXELS_MAX`] pixels a side. Transparent places are white paper.
    pub(super) fn read(content: &[u8]) -> Result<Self> {
        let read = if content.starts_with(PNG) { from_png(content) } else { from_jpeg(content) };
        read.context("the picture is damaged or too large")
    }

    /// As a PNG file.
    pub(super) fn to_png(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, u32::try_from(self.width)?, u32::try_from(self.height)?);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header().context("the picture could not be made")?;
        writer.write_image_data(&self.pixels).context("the picture could not be made")?;
        writer.finish().context("the picture could not be made")?;
        Ok(bytes)
    }

    /// The shade of one pixel; white beyond the edges.
    pub(super) fn shade(&self, x: usize, y: usize) -> u8 {
        if x < self.width { self.pixels.get(y * self.width + x).copied().unwrap_or(255) } else { 255 }
    }
}

fn from_png(content: &[u8]) -> Result<Picture> {
    let limits = png::Limits { bytes: PICTURE_BYTES_MAX };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(content), limits);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    check_size(width, height)?;
    let size = reader.output_buffer_size().filter(|size| *size <= PICTURE_BYTES_MAX);
    let mut bytes = vec![0; size.ok_or_else(|| anyhow!("it has more than {PICTURE_BYTES_MAX} bytes"))?];
    reader.next_frame(&mut bytes)?;
    let pixels = match reader.output_color_type().0 {
        ColorType::Grayscale => bytes,
        ColorType::GrayscaleAlpha => bytes.chunks_exact(2).map(|pixel| on_paper(pixel[0], pixel[1])).collect(),
        ColorType::Rgb => bytes.chunks_exact(3).map(luma).collect(),
        ColorType::Rgba => bytes.chunks_exact(4).map(|pixel| on_paper(luma(pixel), pixel[3])).collect(),
        ColorType::Indexed => bail!("its palette is not resolved"),
    };
    Ok(Picture { width, height, pixels })
}

fn from_jpeg(content: &[u8]) -> Result<Picture> {
    let options = DecoderOptions::default().set_max_width(SIDE_PIXELS_MAX).set_max_height(SIDE_PIXELS_MAX);
    let options = options.jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(content), options);
    let bytes = decoder.decode().map_err(|error| anyhow!("{error}"))?;
    let info = decoder.info().ok_or_else(|| anyhow!("it has no header"))?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    check_size(width, height)?;
    Ok(Picture { width, height, pixels: bytes.chunks_exact(3).map(luma).collect() })
}

fn check_size(width: usize, height: usize) -> Result<()> {
    if width.max(height) > SIDE_PIXELS_MAX {
        bail!("it has {width} x {height} pixels, at most {SIDE_PIXELS_MAX} a side are read");
    }
    Ok(())
}

/// How light a colour is (ITU-R BT.709), of red, green and blue.
fn luma(colour: &[u8]) -> u8 {
    let [red, green, blue, ..] = colour else { return 255 };
    let sum = 2126 * u32::from(*red) + 7152 * u32::from(*green) + 722 * u32::from(*blue);
    u8::try_from(sum / 10_000).unwrap_or(u8::MAX)
}

fn on_paper(shade: u8, opacity: u8) -> u8 {
    if opacity < 128 { 255 } else { shade }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG of 2 by 1 pixels.
    fn png(colour: ColorType, depth: BitDepth, palette: Option<&[u8]>, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if let Some(palette) = palette {
            encoder.set_palette(palette.to_vec());
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(data).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn every_kind_of_png_becomes_shades_and_what_is_transparent_is_white() {
        for (colour, depth, palette, data) in [
            (ColorType::Grayscale, BitDepth::Eight, None, &[0u8, 255][..]),
            (ColorType::Grayscale, BitDepth::One, None, &[0b0100_0000]),
            (ColorType::Grayscale, BitDepth::Sixteen, None, &[0, 9, 255, 255]),
            (ColorType::GrayscaleAlpha, BitDepth::Eight, None, &[0, 255, 0, 0]),
            (ColorType::Rgb, BitDepth::Eight, None, &[0, 0, 0, 255, 255, 255]),
            (ColorType::Rgba, BitDepth::Eight, None, &[0, 0, 0, 255, 9, 9, 9, 127]),
            (ColorType::Indexed, BitDepth::Eight, Some(&[255u8, 255, 255, 0, 0, 0][..]), &[1, 0]),
        ] {
            let read = Picture::read(&png(colour, depth, palette, data)).unwrap();
            assert_eq!((read.width, read.height, &read.pixels[..]), (2, 1, &[0, 255][..]), "{colour:?} {depth:?}");
        }
        let green = Picture::read(&png(ColorType::Rgb, BitDepth::Eight, None, &[0, 255, 0, 255, 0, 0])).unwrap();
        assert_eq!(green.pixels, [182, 54]);
    }

    #[test]
    fn what_is_damaged_or_too_large_is_refused() {
        let good = Picture::filled(20, 20, 0).to_png().unwrap();
        assert!(Picture::read(&good).is_ok() && Picture::read(&good[..good.len() / 2]).is_err());
        assert!(Picture::read(JPEG).is_err());
        let wide = Picture::filled(SIDE_PIXELS_MAX + 1, 1, 0).to_png().unwrap();
        let error = format!("{:#}", Picture::read(&wide).err().unwrap());
        assert!(error.contains("8193 x 1") && error.contains("8192"), "{error}");
    }
}
