//! The commands as somebody types them.

use std::fs;
use std::path::Path;

use clap::Parser;
use protocol::Instant;
use serde_json::Value;

use super::picture::Picture;
use super::{PassCommand, perform};

#[derive(Parser)]
struct Typed {
    #[command(subcommand)]
    command: PassCommand,
}

/// 2026-11-23T00:00:00Z.
const NOW_MS: i64 = 1_795_392_000_000;

fn typed(arguments: &str, folder: &Path) -> Result<Vec<u8>, String> {
    let arguments = arguments.split(' ').map(|argument| argument.replace("DIR", folder.to_str().unwrap()));
    let typed = Typed::try_parse_from(std::iter::once("pass".to_owned()).chain(arguments));
    let mut out = Vec::new();
    let done = perform(typed.map_err(|error| error.to_string())?.command, Instant::from_unix_ms(NOW_MS), &mut out);
    done.map(|()| out).map_err(|error| format!("{error:#}"))
}

fn objects(out: &[u8]) -> Vec<Value> {
    String::from_utf8(out.to_vec()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A folder with a key, and its public part in `trust/`.
fn with_key(options: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    typed(&format!("key --out DIR/office.pem{options}"), folder.path()).unwrap();
    fs::create_dir(folder.path().join("trust")).unwrap();
    fs::copy(folder.path().join("office.pem.jwks"), folder.path().join("trust/office.jwks")).unwrap();
    folder
}

const ISSUE: &str = "issue --key DIR/office.pem --issuer regency --subject P-0001 --until 2026-12-31";

#[test]
fn a_pass_that_was_issued_is_valid() {
    for options in ["", " --kid office-2026", " --algorithm es256", " --algorithm es256 --kid x --until 2027-01-01"] {
        let folder = with_key(options);
        let more = "--status green --class visitor --opd health --host P-0002 --one-time --out DIR/pass.txt";
        typed(&format!("{ISSUE} {more}"), folder.path()).unwrap();
        let out = typed("verify --trust DIR/trust --check DIR/pass.txt", folder.path()).unwrap();
        let [judged] = &objects(&out)[..] else { panic!("{out:?}") };
        let claims = &judged["claims"];
        assert_eq!(
            (&judged["valid"], &judged["reason"], &judged["status"]),
            (&true.into(), &Value::Null, &"green".into())
        );
        assert_eq!(
            (&judged["kind"], &claims["one_time"], &claims["class"]),
            (&"pass".into(), &true.into(), &"visitor".into())
        );
        assert!(!String::from_utf8_lossy(&out).contains("P-000"), "the holder is not shown");
        let shown = typed("verify --trust DIR/trust --show-holder DIR/pass.txt", folder.path()).unwrap();
        assert_eq!(objects(&shown)[0]["claims"]["subject"], "P-0001");
    }
}

#[test]
fn a_private_key_is_for_its_owner_only_and_is_never_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let folder = with_key("");
    let mode = fs::metadata(folder.path().join("office.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let error = typed("key --out DIR/office.pem", folder.path()).unwrap_err();
    assert!(error.contains("office.pem") && error.contains("another name"), "{error}");
}

#[test]
fn codes_are_read_back_from_pictures() {
    let folder = with_key("");
    typed(&format!("{ISSUE} --format png --out DIR/pass.png"), folder.path()).unwrap();
    let out = typed("verify --trust DIR/trust DIR/pass.png", folder.path()).unwrap();
    assert_eq!((objects(&out).len(), &objects(&out)[0]["valid"]), (1, &true.into()));

    let one = Picture::read(&fs::read(folder.path().join("pass.png")).unwrap()).unwrap();
    let two: Vec<u8> = one.pixels.chunks_exact(one.width).flat_map(|row| [row, row].concat()).collect();
    let (width, height) = (u16::try_from(one.width * 2).unwrap(), u16::try_from(one.height).unwrap());
    let encoder = jpeg_encoder::Encoder::new_file(folder.path().join("two.jpeg"), 90).unwrap();
    encoder.encode(&two, width, height, jpeg_encoder::ColorType::Luma).unwrap();
    let out = typed("verify --trust DIR/trust DIR/two.jpeg", folder.path()).unwrap();
    assert_eq!(objects(&out).iter().filter(|judged| judged["valid"] == true).count(), 2);

    let svg = typed(&format!("{ISSUE} --format svg"), folder.path()).unwrap();
    assert!(String::from_utf8(svg).unwrap().starts_with("<svg "));
    fs::write(folder.path().join("black.png"), Picture::filled(50, 50, 0).to_png().unwrap()).unwrap();
    let error = typed("verify --trust DIR/trust DIR/black.png", folder.path()).unwrap_err();
    assert!(error.contains("black.png") && error.contains("no QR code"), "{error}");
}

#[test]
fn every_line_is_judged_and_check_fails_when_one_is_not_valid() {
    let folder = with_key("");
    let good = String::from_utf8(typed(ISSUE, folder.path()).unwrap()).unwrap();
    let good = good.trim();
    fs::write(folder.path().join("list"), format!("{good}\r\n\n{good} \nHC2:X\nGP1:a\n{good}")).unwrap();
    let out = typed("verify --trust DIR/trust DIR/list", folder.path()).unwrap();
    let judged: Vec<_> =
        objects(&out).iter().map(|o| (o["line"].as_u64().unwrap(), o["reason"].as_str().map(str::to_owned))).collect();
    let reasons = [(1, None), (3, None), (4, Some("pass-prefix")), (5, Some("pass-not-base45")), (6, None)];
    assert_eq!(judged, reasons.map(|(line, reason)| (line, reason.map(str::to_owned))));
    let error = typed("verify --trust DIR/trust --check DIR/list", folder.path()).unwrap_err();
    assert!(error.contains("2 of 5"), "{error}");
    // A pass itself may stand in the place of a file.
    let trust = folder.path().join("trust");
    let typed = Typed::try_parse_from(["pass", "verify", "--trust", trust.to_str().unwrap(), good]).unwrap();
    let mut passed = Vec::new();
    perform(typed.command, Instant::from_unix_ms(NOW_MS), &mut passed).unwrap();
    assert_eq!(objects(&passed)[0]["valid"], true);
}

#[test]
fn time_and_revocation_are_asked() {
    let folder = with_key("");
    typed(&format!("{ISSUE} --id 00112233445566778899 --from 2026-12-01 --out DIR/pass.txt"), folder.path()).unwrap();
    let id = objects(&typed("inspect DIR/pass.txt", folder.path()).unwrap())[0]["claims"]["id"].clone();
    for (revoked, at, reason) in [
        (String::new(), "2026-12-02T00:00:00", None),
        (String::new(), "2026-11-30T23:59:59.999", Some("pass-not-yet-valid")),
        (String::new(), "2026-12-31T08:00:00+08:00", Some("pass-expired")),
        (format!("passes = [{id}]"), "2026-12-02", Some("pass-revoked")),
        ("passes = [\"00112233445566778899\"]".into(), "2026-12-02", Some("pass-revoked")),
        ("subjects = [\"P-0001\"]".into(), "2026-12-02", Some("pass-subject-revoked")),
    ] {
        fs::write(folder.path().join("revoked.toml"), &revoked).unwrap();
        let verify = format!("verify --trust DIR/trust --revoked DIR/revoked.toml --at {at} DIR/pass.txt");
        let judged = objects(&typed(&verify, folder.path()).unwrap());
        assert_eq!(judged[0]["reason"].as_str(), reason, "{at} {revoked}");
    }
}

#[test]
fn inspecting_verifies_nothing_and_says_so() {
    let folder = with_key("");
    typed(&format!("{ISSUE} --out DIR/pass.txt"), folder.path()).unwrap();
    let shown = objects(&typed("inspect DIR/pass.txt", folder.path()).unwrap());
    assert_eq!((&shown[0]["verified"], &shown[0]["claims"]["issuer"]), (&false.into(), &"regency".into()));
    assert!(!shown[0].to_string().contains("P-0001"), "{}", shown[0]);
}

#[test]
fn mistakes_are_named_with_what_to_do() {
    let folder = with_key("");
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::write(folder.path().join("nothing"), "\n\n").unwrap();
    fs::create_dir(folder.path().join("private")).unwrap();
    fs::copy(folder.path().join("office.pem"), folder.path().join("private/office.pem")).unwrap();
    for (arguments, words) in [
        ("verify --trust DIR/none DIR/nothing", ["DIR/none", "is no folder"]),
        ("verify --trust DIR/empty DIR/nothing", ["DIR/empty", "holds no key"]),
        ("verify --trust DIR/trust DIR/nothing", ["DIR/nothing", "holds no pass"]),
        ("verify --trust DIR/trust DIR/absent", ["DIR/absent", "cannot be read"]),
        ("verify --trust DIR/private DIR/nothing", ["office.pem", "private key"]),
        ("verify --trust DIR/trust --revoked DIR/absent DIR/nothing", ["DIR/absent", "does not exist"]),
        ("verify --trust DIR/trust --at noon DIR/nothing", ["--at", "2026-12-31"]),
        ("issue --key DIR/nothing --issuer x --subject y --until 2027-01-01", ["DIR/nothing", "gapura pass key"]),
        ("issue --key DIR/office.pem --issuer x --subject y --until 2020-01-01", ["would end", "before it begins"]),
        ("issue --key DIR/office.pem --issuer x --subject y --until 2027-01-01 --id abc", ["--id", "hexadecimal"]),
        ("issue --key DIR/office.pem --issuer x --subject y --until 2027-01-01 --status blue", ["--status", "green"]),
        ("issue --key DIR/office.pem --issuer x --subject y --until 2027-01-01 --class boss", ["--class", "non-asn"]),
    ] {
        let error = typed(arguments, folder.path()).unwrap_err();
        for word in words.map(|word| word.replace("DIR", folder.path().to_str().unwrap())) {
            assert!(error.contains(&word), "{error:?} does not say {word:?}");
        }
    }
}
