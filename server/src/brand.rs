//! The operators' branding of the page: name, logo, colour, contact and theme.
//!
//! All of it is validated at startup and becomes part of the HTML: a request of the browser for a separate file may
//! already reach the app.

use std::{fs, path::Path, str::FromStr, sync::Arc};

use axum::http::Uri;
use base64::{Engine, prelude::BASE64_STANDARD};
use clap::{Args, ValueEnum};
use unidler_app::page;

/// What operators may put on the page. By default nothing.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Page")]
pub struct Brand {
    /// Name shown above the page, such as your platform's or team's.
    #[arg(long, env = "UNIDLER_BRAND_NAME", value_name = "NAME", global = true)]
    pub brand_name: Option<String>,

    /// Logo shown next to the name: an SVG, PNG or WebP file of at most 16 KiB.
    #[arg(long, env = "UNIDLER_BRAND_LOGO", value_name = "FILE", value_parser = logo, global = true)]
    pub brand_logo: Option<Arc<str>>,

    /// Accent colour for buttons, links and the progress bar, such as #5046c8. Lightened automatically in dark mode.
    #[arg(
        long,
        env = "UNIDLER_BRAND_COLOUR",
        value_name = "#RRGGBB",
        global = true
    )]
    pub brand_colour: Option<Colour>,

    /// Text below the page that names a contact, such as "Questions? Ask the platform team"
    #[arg(long, env = "UNIDLER_CONTACT", value_name = "TEXT", global = true)]
    pub contact: Option<String>,

    /// Link for the contact text: an https://, http:// or mailto: URL.
    #[arg(long, env = "UNIDLER_CONTACT_URL", value_name = "URL", requires = "contact", value_parser = link, global = true)]
    pub contact_url: Option<String>,

    /// Theme of the page.
    #[arg(
        long,
        env = "UNIDLER_THEME",
        default_value = "moon",
        value_name = "THEME",
        global = true
    )]
    pub theme: Theme,
}

impl Brand {
    /// The branding that is part of the HTML.
    #[must_use]
    pub fn on_page(&self) -> page::Brand {
        page::Brand {
            name: self.brand_name.clone(),
            logo: self.brand_logo.clone(),
            contact: self.contact.clone(),
            contact_url: self.contact_url.clone(),
        }
    }

    /// The style sheet of the page with the operator's colour and theme.
    #[must_use]
    pub fn style(&self, css: &str) -> String {
        let theme = match self.theme {
            Theme::Moon => "",
            Theme::Plain => include_str!("../../style/plain.css"),
        };
        let accent = self.brand_colour.map(|colour| {
            let Colour(light) = colour;
            let dark = colour.on_dark();
            format!(":root{{--accent:light-dark({},{})}}", hex(light), hex(dark))
        });
        format!("{css}{theme}{}", accent.unwrap_or_default())
    }
}

/// The looks of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Theme {
    /// unidler's own.
    #[default]
    Moon,
    /// Square and high in contrast, to fit in with government services.
    Plain,
}

/// A colour on which white text is readable, and which is readable on white.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour([u8; 3]);

/// The least contrast of text ([WCAG 2.2, 1.4.3](https://www.w3.org/TR/WCAG22/#contrast-minimum)).
const CONTRAST: f64 = 4.5;
const WHITE: [u8; 3] = [255; 3];
/// The background of the page in dark mode: `--surface` in `style/main.css`.
const DARK: [u8; 3] = [0x1b, 0x1a, 0x27];

impl Colour {
    /// The same colour, mixed with as much white as it needs to be readable on a dark background.
    fn on_dark(self) -> [u8; 3] {
        let mixed = |percent: u16| self.0.map(|part| mix(part, percent));
        (0..=100)
            .step_by(5)
            .map(mixed)
            .find(|colour| contrast(*colour, DARK) >= CONTRAST)
            .unwrap_or(WHITE)
    }
}

fn mix(part: u8, percent: u16) -> u8 {
    u8::try_from((u16::from(part) * (100 - percent) + 255 * percent) / 100).unwrap_or(u8::MAX)
}

impl FromStr for Colour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text
            .strip_prefix('#')
            .filter(|digits| digits.len() == 6 && digits.is_ascii());
        let part =
            |at: usize| digits.and_then(|digits| u8::from_str_radix(&digits[at..at + 2], 16).ok());
        let (Some(red), Some(green), Some(blue)) = (part(0), part(2), part(4)) else {
            return Err(
                "expected a colour as # and six hexadecimal digits, such as #5046c8".to_owned(),
            );
        };
        let colour = [red, green, blue];
        let contrast = contrast(colour, WHITE);
        if contrast < CONTRAST {
            return Err(format!(
                "its contrast with white is {contrast:.1}, but readable text needs at least {CONTRAST} (WCAG 2.2, 1.4.3): choose \
                 a darker one"
            ));
        }
        Ok(Self(colour))
    }
}

fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// The contrast of two colours, from 1 to 21 ([WCAG 2.2](https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)).
fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// The relative luminance of a colour, from 0 to 1 ([WCAG 2.2](https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)).
fn luminance(colour: [u8; 3]) -> f64 {
    let [red, green, blue] = colour.map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 {
            part / 12.92
        } else {
            ((part + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/// The maximum size of a logo in bytes: it is part of every page.
const MAX_LOGO: usize = 16 * 1024;

/// Reads a logo into a `data:` URL. An SVG in an `<img>` runs no scripts.
fn logo(path: &str) -> Result<Arc<str>, String> {
    let path = Path::new(path);
    let media_type = match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        _ => return Err("expected a file that ends in .svg, .png or .webp".to_owned()),
    };
    let bytes = fs::read(path).map_err(|error| format!("it cannot be read: {error}"))?;
    if bytes.len() > MAX_LOGO {
        return Err(format!(
            "it has {} bytes, but at most {MAX_LOGO} are allowed, since it is part of every page",
            bytes.len()
        ));
    }
    Ok(format!("data:{media_type};base64,{}", BASE64_STANDARD.encode(bytes)).into())
}

/// Validates a URL that visitors may be sent to: none that runs as a script.
fn link(text: &str) -> Result<String, String> {
    let is_mail = text
        .strip_prefix("mailto:")
        .is_some_and(|address| address.contains('@'));
    let is_web = text.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("https" | "http")) && uri.authority().is_some()
    });
    if is_mail || is_web {
        Ok(text.to_owned())
    } else {
        Err(
            "expected an address such as https://status.example.org or mailto:help@example.org"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_refused_where_text_in_it_cannot_be_read() {
        assert_eq!("#5046c8".parse(), Ok(Colour([0x50, 0x46, 0xc8])));
        assert_eq!(
            "#767676".parse(),
            Ok(Colour([0x76; 3])),
            "the lightest grey of all"
        );
        for (text, complaint) in [
            ("#777777", "contrast with white is 4.5"),
            ("#ffdd00", "contrast with white is 1.3"),
            ("red", "six hexadecimal digits"),
            ("#fff", "six hexadecimal digits"),
            ("#ääa", "six hexadecimal digits"),
            ("#5046c8;}", "six hexadecimal digits"),
        ] {
            let error = text.parse::<Colour>().expect_err(text);
            assert!(error.contains(complaint), "{text}: {error}");
        }
    }

    #[test]
    fn a_colour_can_be_read_on_dark_ground_too() {
        for text in ["#000000", "#5046c8", "#00703c", "#aa0000", "#767676"] {
            let dark = text.parse::<Colour>().expect("a colour").on_dark();
            assert!(
                contrast(dark, DARK) >= CONTRAST,
                "{text} became {}",
                hex(dark)
            );
        }
    }

    #[test]
    fn the_ground_is_the_one_of_the_style_sheet() {
        let surface = format!("--surface: light-dark(#ffffff, {});", hex(DARK));
        assert!(include_str!("../../style/main.css").contains(&surface));
    }

    #[test]
    fn a_link_leads_to_a_place_and_not_into_a_script() {
        for text in [
            "https://help.example.org/?a=b",
            "http://help",
            "mailto:help@example.org",
        ] {
            assert_eq!(link(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            "help",
            "//help",
            "javascript:alert(1)",
            "data:text/html,x",
            "mailto:",
            "https://",
            "ftp://x",
        ] {
            assert!(link(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_logo_is_a_small_picture() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).expect("a file");
            logo(path.to_str().expect("a name"))
        };
        assert_eq!(
            file("logo.svg", b"<svg/>").as_deref(),
            Ok("data:image/svg+xml;base64,PHN2Zy8+")
        );
        assert!(file("logo.png", &[0; MAX_LOGO]).is_ok());
        assert!(
            file("large.png", &[0; MAX_LOGO + 1])
                .expect_err("too large")
                .contains("16385 bytes")
        );
        assert!(file("logo.html", b"").is_err());
        assert!(
            logo("/nowhere/logo.svg")
                .expect_err("not there")
                .contains("cannot be read")
        );
    }
}
