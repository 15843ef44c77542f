//! The few shapes that the picture is made of; text is escaped here, and nowhere else.

use std::fmt::{self, Write};

/// The hatching of no zone.
pub(super) const NEUTRAL: usize = usize::MAX;

const INK: &str = "#1a1a1a";
const PALE: &str = "#5a5a5a";

/// An SVG document that grows.
pub(super) struct Svg(String);

/// Where a text stands beside its place.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// A white sheet.
    pub(super) fn new(width: f64, height: f64) -> Self {
        let mut svg = Self(String::new());
        svg.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" font-family=\"Helvetica, Arial, sans-serif\">\n"
        ));
        svg.put(format_args!("<rect width=\"{width:.0}\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n"));
        svg.hatching(NEUTRAL, "#444444");
        svg
    }

    /// The document.
    pub(super) fn finish(mut self) -> String {
        self.put(format_args!("</svg>\n"));
        self.0
    }

    /// Makes the hatching that [`Svg::hatched_bar`] uses.
    pub(super) fn hatching(&mut self, index: usize, colour: &str) {
        let id = Hatching(index);
        self.put(format_args!(
            "<defs><pattern id=\"{id}\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" \
             patternTransform=\"rotate(45)\"><rect width=\"5\" height=\"5\" fill=\"#ffffff\"/><rect width=\"2\" \
             height=\"5\" fill=\"{colour}\"/></pattern></defs>\n"
        ));
    }

    pub(super) fn text(&mut self, x: f64, y: f64, size: u32, text: &str) {
        self.label((x, y), size, PALE, Anchor::Start, text);
    }

    pub(super) fn bold(&mut self, x: f64, y: f64, size: u32, text: &str) {
        let text = Escaped(text);
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" font-weight=\"bold\" fill=\"{INK}\">{text}</text>\n"
        ));
    }

    pub(super) fn label(&mut self, (x, y): (f64, f64), size: u32, colour: &str, anchor: Anchor, text: &str) {
        let (anchor, text) = (anchor.as_str(), Escaped(text));
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{colour}\" text-anchor=\"{anchor}\">{text}</text>\n"
        ));
    }

    /// A text that is turned by `degrees` about its place.
    pub(super) fn turned(&mut self, (x, y): (f64, f64), degrees: f64, anchor: Anchor, text: &str) {
        let (anchor, text) = (anchor.as_str(), Escaped(text));
        self.put(format_args!(
            "<text transform=\"translate({x:.1} {y:.1}) rotate({degrees:.1})\" y=\"3.5\" font-size=\"10\" \
             fill=\"{INK}\" text-anchor=\"{anchor}\">{text}</text>\n"
        ));
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64, dashed: bool) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let dashes = if dashed { " stroke-dasharray=\"6 5\"" } else { "" };
        self.put(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" \
             stroke-width=\"{width:.1}\"{dashes}/>\n"
        ));
    }

    pub(super) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        self.put(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>\n"
        ));
    }

    pub(super) fn hatched_bar(&mut self, x: f64, y: f64, width: f64, height: f64, index: usize, colour: &str) {
        let id = Hatching(index);
        self.put(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"url(#{id})\" \
             stroke=\"{colour}\" stroke-width=\"0.7\"/>\n"
        ));
    }

    /// A text over lines.
    pub(super) fn over(&mut self, (x, y): (f64, f64), size: u32, text: &str) {
        let text = Escaped(text);
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" font-weight=\"bold\" fill=\"{INK}\" \
             text-anchor=\"middle\" stroke=\"#ffffff\" stroke-width=\"4\" paint-order=\"stroke\">{text}</text>\n"
        ));
    }

    /// A circle with a short text in it.
    pub(super) fn node(&mut self, (x, y): (f64, f64), radius: f64, fill: &str, ink: &str, text: &str) {
        self.put(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{fill}\" stroke=\"{INK}\" stroke-width=\"1.2\"/>\n"
        ));
        let size = if radius < 8.0 { 8 } else { 10 };
        self.label((x, y + 0.36 * f64::from(size)), size, ink, Anchor::Middle, text);
    }

    /// What follows until [`Svg::end`] belongs together and is explained when it is pointed at.
    pub(super) fn explained(&mut self, text: &str) {
        let text = Escaped(text);
        self.put(format_args!("<g><title>{text}</title>\n"));
    }

    pub(super) fn end(&mut self) {
        self.put(format_args!("</g>\n"));
    }

    fn put(&mut self, arguments: fmt::Arguments<'_>) {
        // A string takes everything.
        self.0.write_fmt(arguments).ok();
    }
}

impl Anchor {
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// At most so many characters of a text.
pub(super) fn shortened(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

struct Hatching(usize);

impl fmt::Display for Hatching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            NEUTRAL => f.write_str("hatched"),
            index => write!(f, "hatched-{index}"),
        }
    }
}

/// Text as XML has it; what XML cannot have is left out.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            char if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') => Ok(()),
            char => f.write_char(char),
        })
    }
}
