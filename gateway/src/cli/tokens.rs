//! The commands about access tokens.

use anyhow::Result;
use clap::Subcommand;
use protocol::{DoorId, Instant};

use super::output::print_line;
use base::site::{self, NewToken, Secret, SiteFolder};
use base::tokens::{ADMIN, TokenRole};

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token, which is shown this once.
    Add {
        /// Its name: 1 to 32 of a-z, 0-9 and '-'.
        name: DoorId,
        /// What its bearer may do: viewer (counts only), operator (also events, and who is where), attendance (also who
        /// came when), tracer (also who met whom), privacy-officer (also the audit trail, and a person's rights),
        /// helper (confirms, refuses or admits people at a door) or admin (everything).
        #[arg(long)]
        role: TokenRole,
        /// A door that a helper may act at, all if not given; may be given several times.
        #[arg(long = "door", value_name = "DOOR")]
        doors: Vec<DoorId>,
        /// When it ends, as in 2026-12-31T17:00:00+08:00; never if not given.
        #[arg(long, value_name = "TIME")]
        until: Option<Instant>,
        /// Print the token as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the tokens by name; the tokens themselves are not kept.
    List,
    /// Make a token anew, which is shown this once; the one before is refused within a second.
    Renew {
        /// Its name; admin for the one that was made with the site.
        name: DoorId,
        /// Print the token as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take a token back; it is refused within a second. That of admin can be made anew.
    Revoke {
        /// Its name.
        name: DoorId,
    },
}

pub(super) fn perform(folder: &SiteFolder, command: Token, now: Instant) -> Result<()> {
    match command {
        Token::Add { name, role, doors, until, json } => {
            let token = site::add_token(folder, NewToken { name: name.clone(), role, until, doors }, now)?;
            show(&name, &token, json, &format!(" with the role {role}"))
        }
        Token::Renew { name, json } => show(&name, &site::renew_token(folder, &name)?, json, ""),
        Token::List => list(folder),
        Token::Revoke { name } => {
            site::revoke_token(folder, &name)?;
            print_line(format_args!("{name}: revoked"))
        }
    }
}

fn show(name: &DoorId, token: &Secret, json: bool, about: &str) -> Result<()> {
    let token = token.reveal();
    if json {
        return print_line(format_args!("{}", serde_json::json!({ "name": name.as_str(), "token": token })));
    }
    print_line(format_args!("The token {name}{about}, shown this once:\n\n  {token}"))
}

fn list(folder: &SiteFolder) -> Result<()> {
    let row = |name: &str, role: &str, until: &str, doors: &str| {
        print_line(format_args!("{name:<32}  {role:<16}  {until:<25}  {doors}"))
    };
    row("TOKEN", "ROLE", "UNTIL", "DOORS")?;
    let until = if site::admin_token(folder)?.is_some() { "" } else { "revoked" };
    row(ADMIN, TokenRole::Admin.as_str(), until, "all")?;
    for token in site::list_tokens(folder)?.iter() {
        let until = token.until.map(|until| until.to_string()).unwrap_or_default();
        let doors = token.doors.as_ref().map(|doors| doors.iter().map(DoorId::as_str).collect::<Vec<_>>().join(" "));
        row(token.name.as_str(), token.role.as_str(), &until, doors.as_deref().unwrap_or("all"))?;
    }
    Ok(())
}
