//! Host-based authentication: who may connect from where, and what they must prove. PostgreSQL's `pg_hba.conf`
//! (<https://www.postgresql.org/docs/15/auth-pg-hba-conf.html>): lines of *type database user address method*, the first
//! that matches decides.
//!
//! Supported: types local, host, hostssl, hostnossl; lists of names, `all`, `sameuser`, `samerole`, `+role` (its members), `@file` (names from
//! a file beside this one), regular quoting, comments; addresses as CIDR, as address and mask, host name, `all`; methods trust, reject,
//! scram-sha-256 (and md5, which means SCRAM for a role with a SCRAM verifier, and every role has that). What else PostgreSQL knows is
//! refused when the file is read, so that no line means something else than its author thinks.
//!
//! A host name matches the addresses that it resolves to when the client comes. (PostgreSQL starts from the client's address and
//! looks its name up; then it resolves that, too, as the last word.) Whoever answers for the name decides, as everywhere.

use serin_sql::HbaRule;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Trust,
    Reject,
    Scram,
}

/// How a client comes.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// `None` is a Unix-domain socket.
    pub address: Option<SocketAddr>,
    pub encrypted: bool,
    pub user: &'a str,
    pub database: &'a str,
}

#[derive(Debug)]
pub struct Rules(Vec<Rule>);

#[derive(PartialEq, Debug)]
struct Rule {
    connection: Connection,
    databases: Names,
    users: Names,
    method: Method,
}

#[derive(PartialEq, Debug)]
enum Connection {
    Local,
    Host { network: Network, encrypted: Option<bool> },
}

/// Whether a rule is about a connection.
#[derive(PartialEq, Eq, Debug)]
pub enum Match<'a> {
    No,
    Yes(Method),
    /// If the client's address is one of this host's.
    IfHost(&'a str, Method),
}

/// An address and how many of its leading bits count.
#[derive(Clone, PartialEq, Debug)]
enum Network {
    All,
    Name(String),
    V4(u32, u32),
    V6(u128, u32),
}

#[derive(PartialEq, Debug)]
enum Names {
    All,
    /// With `sameuser`: a database that is called as the user.
    These {
        names: Vec<String>,
        /// Their members, direct or not.
        groups: Vec<String>,
        same_user: bool,
        /// A database that is called as a role which the user belongs to.
        same_role: bool,
    },
}

/// Trust on this machine, a password from elsewhere: what holds without a file.
pub const DEFAULT: &str = "
local all all trust
host all all 127.0.0.0/8 trust
host all all ::1/128 trust
host all all all scram-sha-256
";

impl Default for Rules {
    fn default() -> Rules {
        Rules::parse(DEFAULT, Path::new("")).expect("the built-in rules are valid")
    }
}

impl Rules {
    /// The error names the line. `directory` is where `@file` is looked for.
    pub fn parse(text: &str, directory: &Path) -> Result<Rules, String> {
        let mut rules = Vec::new();
        for (number, line) in logical_lines(text) {
            let fail = |error: String| format!("line {number}: {error}");
            let tokens = included(tokenize(&line).map_err(fail)?, directory).map_err(fail)?;
            if !tokens.is_empty() {
                rules.push(rule(&tokens).map_err(fail)?);
            }
        }
        Ok(Rules(rules))
    }

    /// What one rule says of a connection; None: there are no more.
    pub fn at<'a>(
        &'a self,
        at: usize,
        origin: &Origin<'_>,
        is_member: &dyn Fn(&str, &str) -> bool,
    ) -> Option<Match<'a>> {
        self.0.get(at).map(|rule| rule.matches(origin, is_member))
    }
}

/// Lines with their numbers. A backslash at its end continues a line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut line = line.to_owned();
        while line.ends_with('\\') {
            line.pop();
            line += lines.next().map_or("", |(_, next)| next);
        }
        found.push((number + 1, line));
    }
    found
}

/// The lines of a file as pg_hba_file_rules shows them: rules, and what is wrong with the others.
pub fn describe(text: &str, directory: &Path) -> Vec<HbaRule> {
    let mut rows = Vec::new();
    for (number, line) in logical_lines(text) {
        let wrong = |error: String| HbaRule { line: number as i32, error: Some(error), ..HbaRule::default() };
        let fields = match tokenize(&line).and_then(|fields| included(fields, directory)) {
            Ok(fields) if fields.is_empty() => continue,
            Ok(fields) => fields,
            Err(error) => {
                rows.push(wrong(error));
                continue;
            }
        };
        let parsed = match rule(&fields) {
            Ok(parsed) => parsed,
            Err(error) => {
                rows.push(wrong(error));
                continue;
            }
        };
        let texts = |field: &Field| field.iter().map(|token| token.text.clone()).collect::<Vec<_>>();
        let (address, mask) = match &parsed.connection {
            Connection::Host { network, .. } => network.describe(),
            Connection::Local => (None, None),
        };
        let method = match parsed.method {
            Method::Trust => "trust",
            Method::Reject => "reject",
            Method::Scram => "scram-sha-256",
        };
        rows.push(HbaRule {
            line: number as i32,
            kind: fields[0][0].text.clone(),
            databases: texts(&fields[1]),
            users: texts(&fields[2]),
            address,
            mask,
            method: method.to_owned(),
            error: None,
        });
    }
    rows
}

/// Replaces `@file` in the lists of a line by what the files hold. Files may name files, but not without end.
fn included(fields: Vec<Field>, directory: &Path) -> Result<Vec<Field>, String> {
    const DEPTH_MAX: usize = 10;
    fn expand(field: Field, directory: &Path, depth: usize) -> Result<Field, String> {
        let mut expanded = Vec::with_capacity(field.len());
        for token in field {
            let Some(name) = token.text.strip_prefix('@').filter(|name| !token.quoted && !name.is_empty())
            else {
                expanded.push(token);
                continue;
            };
            if depth == DEPTH_MAX {
                return Err(format!("could not open file \"{name}\": maximum nesting depth exceeded"));
            }
            // An absolute name stays what it is.
            let file = directory.join(name);
            let text = std::fs::read_to_string(&file)
                .map_err(|error| format!("could not open file \"{}\": {error}", file.display()))?;
            for (_, line) in logical_lines(&text) {
                let tokens = tokenize(&line)?.into_iter().flatten().collect();
                expanded.extend(expand(tokens, file.parent().unwrap_or(directory), depth + 1)?);
            }
        }
        Ok(expanded)
    }
    fields.into_iter().map(|field| expand(field, directory, 0)).collect()
}

/// A field is a list of tokens joined by commas; what is quoted is no keyword.
#[derive(Clone, PartialEq, Debug)]
struct Token {
    text: String,
    quoted: bool,
}

type Field = Vec<Token>;

fn tokenize(line: &str) -> Result<Vec<Field>, String> {
    let mut fields: Vec<Field> = Vec::new();
    let mut characters = line.chars().peekable();
    // After a comma the list goes on, whatever the white space.
    let mut continues = false;
    loop {
        while characters.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        let Some(&first) = characters.peek() else { return Ok(fields) };
        if first == '#' {
            return Ok(fields);
        }
        let (mut token, mut in_quotes) = (Token { text: String::new(), quoted: false }, false);
        while let Some(character) =
            characters.next_if(|c| in_quotes || !(c.is_ascii_whitespace() || matches!(c, ',' | '#')))
        {
            match character {
                '"' if in_quotes && characters.next_if_eq(&'"').is_some() => token.text.push('"'),
                '"' => {
                    in_quotes = !in_quotes;
                    token.quoted = true;
                }
                other => token.text.push(other),
            }
        }
        if in_quotes {
            return Err("a quoted name has no end".to_owned());
        }
        match fields.last_mut() {
            Some(field) if continues => field.push(token),
            _ => fields.push(vec![token]),
        }
        while characters.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        continues = characters.next_if_eq(&',').is_some();
    }
}

fn rule(fields: &[Field]) -> Result<Rule, String> {
    let mut fields = fields.iter();
    let mut next = |what: &str| fields.next().ok_or_else(|| format!("end of line before {what}"));
    let connection_type = single(next("connection type")?, "connection type")?;
    let databases = names(next("database specification")?, "database", true)?;
    let users = names(next("role specification")?, "role", false)?;
    let host = |encrypted| Ok::<_, String>(Some(encrypted));
    let encrypted = match connection_type {
        "local" => None,
        "host" => host(None)?,
        "hostssl" => host(Some(true))?,
        "hostnossl" => host(Some(false))?,
        "hostgssenc" | "hostnogssenc" => {
            return Err(format!("connection type \"{connection_type}\" is not supported"));
        }
        other => return Err(format!("invalid connection type \"{other}\"")),
    };
    let connection = match encrypted {
        None => Connection::Local,
        Some(encrypted) => {
            let address = single(next("IP address specification")?, "address")?;
            let network = match (address, address.contains('/')) {
                ("all", _) => Network::All,
                (_, true) => cidr(address)?,
                ("samehost" | "samenet", _) => return Err(format!("address \"{address}\" is not supported")),
                (_, false) if address.parse::<IpAddr>().is_err() => host_name(address)?,
                (_, false) => masked(address, single(next("netmask specification")?, "netmask")?)?,
            };
            Connection::Host { network, encrypted }
        }
    };
    let method = match single(next("authentication method")?, "authentication method")? {
        "trust" => Method::Trust,
        "reject" => Method::Reject,
        "scram-sha-256" | "md5" => Method::Scram,
        method @ ("password" | "gss" | "sspi" | "ident" | "peer" | "ldap" | "radius" | "cert" | "pam"
        | "bsd") => {
            return Err(format!("authentication method \"{method}\" is not supported"));
        }
        other => return Err(format!("invalid authentication method \"{other}\"")),
    };
    match fields.next() {
        None => Ok(Rule { connection, databases, users, method }),
        Some(option) => Err(format!("authentication option \"{}\" is not supported", option[0].text)),
    }
}

fn single<'a>(field: &'a [Token], what: &str) -> Result<&'a str, String> {
    match field {
        [token] => Ok(&token.text),
        _ => Err(format!("multiple values specified for {what}")),
    }
}

fn names(field: &[Token], what: &str, same_user_allowed: bool) -> Result<Names, String> {
    let (mut names, mut groups) = (Vec::new(), Vec::new());
    let (mut same_user, mut same_role) = (false, false);
    for token in field {
        let unsupported = || Err(format!("{what} specification \"{}\" is not supported", token.text));
        match token.text.as_str() {
            "all" if !token.quoted => return Ok(Names::All),
            "sameuser" if !token.quoted && same_user_allowed => same_user = true,
            "samerole" | "samegroup" if !token.quoted && same_user_allowed => same_role = true,
            // There are no such connections.
            "replication" if !token.quoted && same_user_allowed => {}
            text if !token.quoted && text.starts_with('/') => return unsupported(),
            text if !token.quoted && !same_user_allowed && text.len() > 1 && text.starts_with('+') => {
                groups.push(text[1..].to_owned());
            }
            text => names.push(text.to_owned()),
        }
    }
    Ok(Names::These { names, groups, same_user, same_role })
}

fn host_name(name: &str) -> Result<Network, String> {
    if name.starts_with('.') {
        // A suffix needs the client's own name, which takes a look-up by address.
        return Err(format!("host name suffix \"{name}\" is not supported"));
    }
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    match !name.is_empty() && name.chars().all(valid) && name.chars().any(|c| c.is_ascii_alphabetic()) {
        true => Ok(Network::Name(name.to_owned())),
        false => Err(format!("invalid IP address \"{name}\"")),
    }
}

fn cidr(text: &str) -> Result<Network, String> {
    let invalid = || format!("invalid CIDR address \"{text}\"");
    let (address, bits) = text.split_once('/').ok_or_else(invalid)?;
    let address: IpAddr = address.parse().map_err(|_| invalid())?;
    let bits: u32 = bits.parse().map_err(|_| invalid())?;
    match address {
        IpAddr::V4(address) if bits <= 32 => Ok(Network::V4(address.into(), bits)),
        IpAddr::V6(address) if bits <= 128 => Ok(Network::V6(address.into(), bits)),
        _ => Err(invalid()),
    }
}

fn masked(address: &str, mask: &str) -> Result<Network, String> {
    let address: IpAddr = address.parse().map_err(|_| format!("invalid IP address \"{address}\""))?;
    let mask: IpAddr = mask.parse().map_err(|_| format!("invalid IP mask \"{mask}\""))?;
    match (address, mask) {
        (IpAddr::V4(address), IpAddr::V4(mask)) => {
            let mask = u32::from(mask);
            if mask.leading_ones() == mask.count_ones() {
                return Ok(Network::V4(address.into(), mask.leading_ones()));
            }
        }
        (IpAddr::V6(address), IpAddr::V6(mask)) => {
            let mask = u128::from(mask);
            if mask.leading_ones() == mask.count_ones() {
                return Ok(Network::V6(address.into(), mask.leading_ones()));
            }
        }
        _ => return Err("IP address and mask do not match".to_owned()),
    }
    Err(format!("invalid IP mask \"{mask}\""))
}

impl Rule {
    fn matches(&self, origin: &Origin<'_>, is_member: &dyn Fn(&str, &str) -> bool) -> Match<'_> {
        let mut host = None;
        let connection = match (&self.connection, origin.address) {
            (Connection::Local, address) => address.is_none(),
            (Connection::Host { .. }, None) => false,
            (Connection::Host { network, encrypted }, Some(address)) => {
                if let Network::Name(name) = network {
                    host = Some(name.as_str());
                }
                (host.is_some() || network.contains(address.ip().to_canonical()))
                    && encrypted.is_none_or(|encrypted| encrypted == origin.encrypted)
            }
        };
        let matches = connection
            && self.databases.contain(origin.database, origin.user, is_member)
            && self.users.contain(origin.user, origin.user, is_member);
        match (matches, host) {
            (false, _) => Match::No,
            (true, None) => Match::Yes(self.method),
            (true, Some(name)) => Match::IfHost(name, self.method),
        }
    }
}

impl Names {
    fn contain(&self, name: &str, user: &str, is_member: &dyn Fn(&str, &str) -> bool) -> bool {
        match self {
            Names::All => true,
            Names::These { names, groups, same_user, same_role } => {
                *same_user && name == user
                    || names.iter().any(|listed| listed == name)
                    || groups.iter().any(|group| is_member(user, group))
                    || *same_role && is_member(user, name)
            }
        }
    }
}

impl Network {
    fn describe(&self) -> (Option<String>, Option<String>) {
        let mask =
            |bits: u32, width: u32| if bits == 0 { 0 } else { u128::MAX << (128 - bits) >> (128 - width) };
        match self {
            Network::All => (Some("all".to_owned()), None),
            Network::Name(name) => (Some(name.clone()), None),
            Network::V4(address, bits) => {
                let mask = (mask(*bits, 32) & u128::from(u32::MAX)) as u32;
                let text = |bits: u32| std::net::Ipv4Addr::from(bits).to_string();
                (Some(text(*address)), Some(text(mask)))
            }
            Network::V6(address, bits) => {
                let text = |bits: u128| std::net::Ipv6Addr::from(bits).to_string();
                (Some(text(*address)), Some(text(mask(*bits, 128))))
            }
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Network::All, _) => true,
            // Decided by who looks it up.
            (Network::Name(_), _) => false,
            (Network::V4(network, bits), IpAddr::V4(address)) => {
                same_prefix(u128::from(network ^ u32::from(address)) << 96, *bits)
            }
            (Network::V6(network, bits), IpAddr::V6(address)) => {
                same_prefix(network ^ u128::from(address), *bits)
            }
            (Network::V4(..), IpAddr::V6(_)) | (Network::V6(..), IpAddr::V4(_)) => false,
        }
    }
}

fn same_prefix(difference: u128, bits: u32) -> bool {
    difference.leading_zeros() >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin<'a>(address: &str, encrypted: bool, user: &'a str, database: &'a str) -> Origin<'a> {
        let address = (address != "local").then(|| SocketAddr::new(address.parse().unwrap(), 5000));
        Origin { address, encrypted, user, database }
    }

    fn is_member(user: &str, role: &str) -> bool {
        matches!((user, role), ("mary", "member") | ("clerk", "staff"))
    }

    fn method_of(rules: &Rules, origin: &Origin<'_>) -> Option<Method> {
        let mut found = (0..).map_while(|at| rules.at(at, origin, &is_member));
        found.find_map(|found| match found {
            Match::Yes(method) => Some(method),
            _ => None,
        })
    }

    #[test]
    fn by_default_only_this_machine_is_trusted() {
        let rules = Rules::default();
        let method = |address| method_of(&rules, &origin(address, false, "u", "d"));
        assert_eq!(method("local"), Some(Method::Trust));
        assert_eq!(method("127.0.0.1"), Some(Method::Trust));
        assert_eq!(method("::1"), Some(Method::Trust));
        assert_eq!(method("::ffff:127.0.0.1"), Some(Method::Trust));
        assert_eq!(method("192.0.2.1"), Some(Method::Scram));
        assert_eq!(method("2001:db8::1"), Some(Method::Scram));
    }

    #[test]
    fn the_first_match_decides() {
        let rules = Rules::parse(
            "# TYPE DATABASE USER ADDRESS METHOD\n\
             hostssl app , \"all\"  alice,bob 10.1.2.3/16 scram-sha-256 # comment\n\
             host sameuser all 10.0.0.0 255.0.0.0 md5\n\
             hostnossl all all 10.0.0.0/8 reject\n\
             local all \\\n  all trust\n\
             host all \"o\"\"brien\" 2001:db8::/32 trust\n",
            Path::new(""),
        )
        .unwrap();
        let method = |address, encrypted, user, database| {
            method_of(&rules, &origin(address, encrypted, user, database))
        };
        assert_eq!(method("10.1.255.1", true, "alice", "app"), Some(Method::Scram));
        assert_eq!(method("10.1.255.1", true, "bob", "all"), Some(Method::Scram));
        assert_eq!(method("10.1.255.1", false, "alice", "app"), Some(Method::Reject));
        assert_eq!(method("10.2.0.1", true, "alice", "app"), None);
        assert_eq!(method("10.2.0.1", true, "app", "app"), Some(Method::Scram));
        assert_eq!(method("local", false, "anyone", "any"), Some(Method::Trust));
        assert_eq!(method("2001:db8:1::1", false, "o\"brien", "x"), Some(Method::Trust));
        assert_eq!(method("2001:db9::1", false, "o\"brien", "x"), None);
    }

    #[test]
    fn mistakes_name_the_line() {
        let error = |text| Rules::parse(text, Path::new("")).unwrap_err();
        assert_eq!(
            error("local all all trust\nhosts all all all trust"),
            "line 2: invalid connection type \"hosts\""
        );
        assert_eq!(error("local all all"), "line 1: end of line before authentication method");
        assert_eq!(error("host all all 1.2.3.4/33 trust"), "line 1: invalid CIDR address \"1.2.3.4/33\"");
        assert_eq!(
            error("host all all 1.2.3.4 255.0.255.0 trust"),
            "line 1: invalid IP mask \"255.0.255.0\""
        );
        assert_eq!(
            error("host all all all ident"),
            "line 1: authentication method \"ident\" is not supported"
        );
        assert_eq!(error("host all all all trusty"), "line 1: invalid authentication method \"trusty\"");
        assert_eq!(error("host all /^a all trust"), "line 1: role specification \"/^a\" is not supported");
        assert_eq!(error("host all all 1.2.3 trust"), "line 1: invalid IP address \"1.2.3\"");
        assert_eq!(
            error("host all all .example.org trust"),
            "line 1: host name suffix \".example.org\" is not supported"
        );
        assert!(error("local @missing all trust").starts_with("line 1: could not open file \"missing\""));
        assert_eq!(error("local all \"x trust"), "line 1: a quoted name has no end");
        assert_eq!(
            error("local all all trust map=x"),
            "line 1: authentication option \"map=x\" is not supported"
        );
    }

    #[test]
    fn members_files_and_hosts() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("admins"), "root, alice # two\n@more\n").unwrap();
        std::fs::write(directory.path().join("more"), "bob\n").unwrap();
        let rules = Rules::parse(
            "local all +member trust\nlocal samerole all reject\nlocal all @admins md5\n\
             host all all db.example.org trust\nlocal all \"+member\" trust",
            directory.path(),
        )
        .unwrap();
        let method = |user, database| method_of(&rules, &origin("local", false, user, database));
        assert_eq!(method("mary", "x"), Some(Method::Trust));
        assert_eq!(method("clerk", "staff"), Some(Method::Reject));
        assert_eq!(method("clerk", "x"), None);
        assert_eq!(method("bob", "x"), Some(Method::Scram));
        assert_eq!(method("alice", "x"), Some(Method::Scram));
        assert_eq!(method("+member", "x"), Some(Method::Trust));
        let from = origin("192.0.2.7", false, "eve", "x");
        let found = (0..).map_while(|at| rules.at(at, &from, &is_member));
        let found: Vec<Match<'_>> = found.filter(|found| *found != Match::No).collect();
        assert_eq!(found, [Match::IfHost("db.example.org", Method::Trust)]);
        std::fs::write(directory.path().join("loop"), "@loop").unwrap();
        assert!(Rules::parse("local all @loop trust", directory.path()).unwrap_err().contains("nesting"));
    }

    #[test]
    fn described_line_by_line() {
        let rows = describe("# none\nhost a,b all 10.0.0.0/8 trust\nlocal all all peer\n", Path::new(""));
        assert_eq!((rows[0].line, rows[0].kind.as_str(), rows[0].method.as_str()), (2, "host", "trust"));
        assert_eq!(rows[0].databases, ["a", "b"]);
        assert_eq!(rows[0].address.as_deref(), Some("10.0.0.0"));
        assert_eq!(rows[0].mask.as_deref(), Some("255.0.0.0"));
        assert_eq!(rows[1].error.as_deref(), Some("authentication method \"peer\" is not supported"));
    }
}
