//! A directory of a million people: import, start, memory, look-up, and the start after an import was killed.
//!
//! `cargo bench -p access --bench directory [-- PEOPLE]`. Every step runs in a process of its own, so that none is charged with
//! the memory of another.

use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant as Monotonic};

use access::{
    CredentialKey, Directory, ImportOptions, PersonRecord, export_people, import_people, list_people, put_person,
};
use access::{PeopleFormat, Put};
use jiff::tz::TimeZone;
use protocol::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PEOPLE: u64 = 1_000_000;
const LOOK_UPS: u64 = 1_000_000;

fn main() -> Result<()> {
    // Cargo adds an argument of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["import", directory, file] => import(directory.as_ref(), file.as_ref()),
        ["read", directory] => read(directory.as_ref()),
        ["change-one", directory] => change_one(directory.as_ref()),
        ["export", directory, file] => export(directory.as_ref(), file.as_ref()),
        [] => all(PEOPLE),
        [people] => all(people.parse()?),
        _ => Err("give the number of people, or nothing".into()),
    }
}

fn all(people: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let (directory, csv, tomorrow) = (at("directory.redb"), at("people.csv"), at("tomorrow.csv"));
    write_csv(&csv, people, "green")?;
    write_csv(&tomorrow, people, "yellow")?;
    println!("{people} people with a badge each");
    let step = |what: &str, arguments: &[&Path]| -> Result<()> {
        println!("{what}:");
        if !start(arguments)?.wait()?.success() {
            return Err(format!("{what} failed").into());
        }
        Ok(())
    };
    step("import of a CSV file, all new", &["import".as_ref(), &directory, &csv])?;
    println!("  the file has {} MB", fs::metadata(&directory)?.len() / 1_000_000);
    step("reading", &["read".as_ref(), &directory])?;
    step("the same import again", &["import".as_ref(), &directory, &csv])?;
    step("one person", &["change-one".as_ref(), &directory])?;
    let killed = kill_an_import(&directory, &tomorrow)?;
    println!("an import of other statuses, killed after {} ms, which has grown the file by {} MB", killed.0, killed.1);
    step("reading after that", &["read".as_ref(), &directory])?;
    step("an import of other statuses", &["import".as_ref(), &directory, &tomorrow])?;
    let ndjson = at("people.ndjson");
    step("export to NDJSON", &["export".as_ref(), &directory, &ndjson])?;
    step("import of that", &["import".as_ref(), &directory, &ndjson])
}

fn write_csv(file: &Path, people: u64, status: &str) -> Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    writeln!(out, "person,name,class,opd,groups,badge,status,status_since,status_until,valid_until,id_number")?;
    for number in 0..people {
        let class = ["asn", "non-asn", "asn", "visitor"][usize::try_from(number % 4)?];
        let (office, group) = (number % 60, number % 7);
        writeln!(
            out,
            "P-{number:07},Contoh {number:07},{class},Dinas Contoh {office:02},shift-{group},BADGE-{number:07},{status},\
             2026-11-01,2026-12-31,2027-12-31,"
        )?;
    }
    Ok(out.flush()?)
}

fn import(directory: &Path, file: &Path) -> Result<()> {
    let format = if file.extension().is_some_and(|extension| extension == "ndjson") {
        PeopleFormat::Ndjson
    } else {
        PeopleFormat::Csv
    };
    let options = ImportOptions { format, ..ImportOptions::default() };
    let started = Monotonic::now();
    let report = import_people(directory, &key(), &zone()?, File::open(file)?, "people", &options, now())?;
    let took = started.elapsed();
    let rows = report.added + report.changed + report.unchanged;
    println!(
        "  {} added, {} changed, {} unchanged in {:.2} s, {:.0} rows/s, at most {} MB resident",
        report.added,
        report.changed,
        report.unchanged,
        took.as_secs_f64(),
        f64::from(u32::try_from(rows)?) / took.as_secs_f64(),
        peak_mb()?,
    );
    Ok(())
}

fn read(path: &Path) -> Result<()> {
    let before = resident_mb()?;
    let started = Monotonic::now();
    let directory = Directory::read(path)?;
    println!(
        "  {} people, {} credentials in {:.3} s, {} MB resident ({before} MB before)",
        directory.people(),
        directory.credentials(),
        started.elapsed().as_secs_f64(),
        resident_mb()?
    );
    let second = Directory::read(path)?;
    println!("  with a second one {} MB resident, at most {} MB", resident_mb()?, peak_mb()?);
    drop(second);

    let people = u64::try_from(directory.people())?;
    // In no order, as people come.
    let numbers = || (0..LOOK_UPS).map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % people.max(1));
    let hashes = |what: &str| numbers().map(|number| key().hash(&format!("{what}-{number:07}"))).collect::<Vec<_>>();
    for what in ["BADGE", "OTHER"] {
        let hashes = hashes(what);
        let started = Monotonic::now();
        let found = hashes.iter().filter(|hash| black_box(directory.find(hash)).is_some()).count();
        let nanoseconds = started.elapsed().as_nanos() / u128::from(LOOK_UPS);
        println!("  {nanoseconds} ns to look a credential up, {found} of {LOOK_UPS} are known");
    }
    let ids: Vec<String> = numbers().map(|number| format!("P-{number:07}")).collect();
    let started = Monotonic::now();
    let found = ids.iter().filter(|id| black_box(directory.person(id)).is_some()).count();
    println!("  {} ns to find a person by id", started.elapsed().as_nanos() / found.max(1) as u128);
    Ok(())
}

fn change_one(path: &Path) -> Result<()> {
    let started = Monotonic::now();
    let listed = list_people(path, Some("P-0500000"), 1)?;
    let id = listed.first().map_or("P-0000000", |person| &person.id).to_owned();
    println!("  listed in {} ms", started.elapsed().as_millis());
    let person = PersonRecord { id, class: "asn".into(), badges: vec!["NEW".into()], ..PersonRecord::default() };
    let started = Monotonic::now();
    let put = put_person(path, &key(), &zone()?, &person, now())?;
    assert_eq!(put, Put::Changed);
    println!("  put in {} ms, at most {} MB resident", started.elapsed().as_millis(), peak_mb()?);
    Ok(())
}

fn export(directory: &Path, file: &Path) -> Result<()> {
    let started = Monotonic::now();
    let people = export_people(directory, PeopleFormat::Ndjson, BufWriter::new(File::create(file)?))?;
    println!("  {people} people in {:.2} s, at most {} MB resident", started.elapsed().as_secs_f64(), peak_mb()?);
    Ok(())
}

/// Kills an import while it writes; says after how many ms, and by how many MB the file has grown.
fn kill_an_import(directory: &Path, csv: &Path) -> Result<(u128, u64)> {
    let before = fs::metadata(directory)?.len();
    let started = Monotonic::now();
    let mut child = start(&["import".as_ref(), directory, csv])?;
    let mut grown = 0;
    while grown == 0 && child.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(5));
        grown = fs::metadata(directory)?.len().saturating_sub(before);
    }
    child.kill()?;
    if child.wait()?.success() {
        return Err("the import was over before it could be killed".into());
    }
    Ok((started.elapsed().as_millis(), grown / 1_000_000))
}

fn start(arguments: &[&Path]) -> Result<Child> {
    Ok(Command::new(std::env::current_exe()?).args(arguments).spawn()?)
}

fn key() -> CredentialKey {
    CredentialKey::new([7; 32])
}

fn zone() -> Result<TimeZone> {
    Ok(TimeZone::get("Asia/Makassar")?)
}

fn now() -> Instant {
    Instant::from_unix_ms(1_795_000_000_000)
}

fn resident_mb() -> Result<u64> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).unwrap_or_default().parse()?;
    Ok(pages * 4096 / 1_000_000)
}

/// The most that this process has had resident.
fn peak_mb() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024 / 1_000_000)
}
