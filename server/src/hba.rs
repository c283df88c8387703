//! Host-based authentication: who may connect from where, and what they must prove. PostgreSQL's `pg_hba.conf`
//! (<https://www.postgresql.org/docs/15/auth-pg-hba-conf.html>): lines of *type database user address method*, the first
//! that matches decides.
//!
//! Supported: types local, host, hostssl, hostnossl; lists of names, `all`, `sameuser`, regular quoting, comments; addresses as
//! CIDR, as address and mask, `all`; methods trust, reject, scram-sha-256 (and md5, which means SCRAM for a role with a
//! SCRAM verifier, and every role has that). What else PostgreSQL knows is refused when the file is read, so that no
//! line means something else than its author thinks.

use std::net::{IpAddr, SocketAddr};

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

/// An address and how many of its leading bits count.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Network {
    All,
    V4(u32, u32),
    V6(u128, u32),
}

#[derive(PartialEq, Debug)]
enum Names {
    All,
    /// With `sameuser`: a database that is called as the user.
    These {
        names: Vec<String>,
        same_user: bool,
    },
}

/// Trust on this machine, a password from elsewhere: what holds without a file.
const DEFAULT: &str = "
local all all trust
host all all 127.0.0.0/8 trust
host all all ::1/128 trust
host all all all scram-sha-256
";

impl Default for Rules {
    fn default() -> Rules {
        Rules::parse(DEFAULT).expect("the built-in rules are valid")
    }
}

impl Rules {
    /// The error names the line.
    pub fn parse(text: &str) -> Result<Rules, String> {
        let mut rules = Vec::new();
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let mut line = line.to_owned();
            // A backslash at its end continues a line.
            while line.ends_with('\\') {
                line.pop();
                line += lines.next().map_or("", |(_, next)| next);
            }
            let fail = |error: String| format!("line {}: {error}", number + 1);
            let tokens = tokenize(&line).map_err(fail)?;
            if !tokens.is_empty() {
                rules.push(rule(&tokens).map_err(fail)?);
            }
        }
        Ok(Rules(rules))
    }

    /// The method of the first rule that matches.
    pub fn method(&self, origin: &Origin<'_>) -> Option<Method> {
        self.0.iter().find(|rule| rule.matches(origin)).map(|rule| rule.method)
    }
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
    let (mut names, mut same_user) = (Vec::new(), false);
    for token in field {
        let unsupported = || Err(format!("{what} specification \"{}\" is not supported", token.text));
        match token.text.as_str() {
            "all" if !token.quoted => return Ok(Names::All),
            "sameuser" if !token.quoted && same_user_allowed => same_user = true,
            "samerole" | "samegroup" | "replication" if !token.quoted && same_user_allowed => {
                return unsupported();
            }
            text if !token.quoted && text.starts_with(['+', '@', '/']) => return unsupported(),
            text => names.push(text.to_owned()),
        }
    }
    Ok(Names::These { names, same_user })
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
    // A name has letters where no address has them.
    let address: IpAddr = address
        .parse()
        .map_err(|_| format!("address \"{address}\": host names, samehost and samenet are not supported"))?;
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
    fn matches(&self, origin: &Origin<'_>) -> bool {
        let connection = match (&self.connection, origin.address) {
            (Connection::Local, address) => address.is_none(),
            (Connection::Host { .. }, None) => false,
            (Connection::Host { network, encrypted }, Some(address)) => {
                network.contains(address.ip().to_canonical())
                    && encrypted.is_none_or(|encrypted| encrypted == origin.encrypted)
            }
        };
        connection
            && self.databases.contain(origin.database, origin.user)
            && self.users.contain(origin.user, origin.user)
    }
}

impl Names {
    fn contain(&self, name: &str, user: &str) -> bool {
        match self {
            Names::All => true,
            Names::These { names, same_user } => {
                *same_user && name == user || names.iter().any(|listed| listed == name)
            }
        }
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Network::All, _) => true,
            (Network::V4(network, bits), IpAddr::V4(address)) => {
                same_prefix(u128::from(network ^ u32::from(address)) << 96, bits)
            }
            (Network::V6(network, bits), IpAddr::V6(address)) => {
                same_prefix(network ^ u128::from(address), bits)
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

    #[test]
    fn by_default_only_this_machine_is_trusted() {
        let rules = Rules::default();
        let method = |address| rules.method(&origin(address, false, "u", "d"));
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
        )
        .unwrap();
        let method =
            |address, encrypted, user, database| rules.method(&origin(address, encrypted, user, database));
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
        let error = |text| Rules::parse(text).unwrap_err();
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
        assert_eq!(
            error("host all +staff all trust"),
            "line 1: role specification \"+staff\" is not supported"
        );
        assert_eq!(error("local all \"x trust"), "line 1: a quoted name has no end");
        assert_eq!(
            error("local all all trust map=x"),
            "line 1: authentication option \"map=x\" is not supported"
        );
        assert!(error("host all all example.org all trust").contains("host names"));
    }
}
