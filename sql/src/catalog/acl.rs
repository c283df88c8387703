//! Access control lists: who may do what with an object, and who allowed it.
//!
//! A list has an item for each pair of grantee and grantor; an item holds privileges and, among them, those that the
//! grantee may pass on. What an owner may pass on is never written down: the owner can always grant again what was revoked.
//! An object without a list has its class's default: everything for the owner, and for PUBLIC what the class gives away.
//!
//! The chain of grants is a tree with the owner at its root: an item is worth something only while its grantor has the grant
//! option. So revoking a grant option revokes what was granted by it (CASCADE) or fails (RESTRICT), and nobody can give an
//! option back to whom it came from, or the tree would hold itself up.
//!
//! PostgreSQL's `src/backend/utils/adt/acl.c`; its order of items and of letters is kept, for clients compare texts.

use super::{Catalog, Role};
use crate::error::{Error, Result, SqlState};
use crate::types::Oid;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Not};
use std::sync::OnceLock;

/// As grantee: everybody.
pub const PUBLIC_ROLE: Oid = 0;

/// A set of privileges, one bit each, in the order of PostgreSQL's `AclMode`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Privileges(pub u16);

/// Letter and name of each bit, from the lowest.
const BITS: [(char, &str); 14] = [
    ('a', "INSERT"),
    ('r', "SELECT"),
    ('w', "UPDATE"),
    ('d', "DELETE"),
    ('D', "TRUNCATE"),
    ('x', "REFERENCES"),
    ('t', "TRIGGER"),
    ('X', "EXECUTE"),
    ('U', "USAGE"),
    ('C', "CREATE"),
    ('T', "TEMPORARY"),
    ('c', "CONNECT"),
    ('s', "SET"),
    ('A', "ALTER SYSTEM"),
];

impl Privileges {
    pub const NONE: Privileges = Privileges(0);
    pub const INSERT: Privileges = Privileges(1);
    pub const SELECT: Privileges = Privileges(1 << 1);
    pub const UPDATE: Privileges = Privileges(1 << 2);
    pub const DELETE: Privileges = Privileges(1 << 3);
    pub const TRUNCATE: Privileges = Privileges(1 << 4);
    pub const REFERENCES: Privileges = Privileges(1 << 5);
    pub const TRIGGER: Privileges = Privileges(1 << 6);
    pub const EXECUTE: Privileges = Privileges(1 << 7);
    pub const USAGE: Privileges = Privileges(1 << 8);
    pub const CREATE: Privileges = Privileges(1 << 9);
    pub const TEMPORARY: Privileges = Privileges(1 << 10);
    pub const CONNECT: Privileges = Privileges(1 << 11);
    pub const SET: Privileges = Privileges(1 << 12);
    pub const ALTER_SYSTEM: Privileges = Privileges(1 << 13);

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    pub fn contains(self, other: Privileges) -> bool {
        self.0 & other.0 == other.0
    }
    pub fn intersects(self, other: Privileges) -> bool {
        self.0 & other.0 != 0
    }
    /// By a GRANT statement's word, whatever its case.
    pub fn named(name: &str) -> Option<Privileges> {
        let name = if name.eq_ignore_ascii_case("temp") { "temporary" } else { name };
        let at = BITS.iter().position(|(_, known)| known.eq_ignore_ascii_case(name))?;
        Some(Privileges(1 << at))
    }
    /// The single privileges of the set, with their letters and names.
    pub fn each(self) -> impl Iterator<Item = (Privileges, char, &'static str)> {
        BITS.iter()
            .enumerate()
            .map(|(at, (letter, name))| (Privileges(1 << at), *letter, *name))
            .filter(move |(bit, ..)| self.intersects(*bit))
    }
    fn of_letter(letter: char) -> Option<Privileges> {
        BITS.iter().position(|(known, _)| *known == letter).map(|at| Privileges(1 << at))
    }
}

impl BitOr for Privileges {
    type Output = Privileges;
    fn bitor(self, other: Privileges) -> Privileges {
        Privileges(self.0 | other.0)
    }
}
impl BitAnd for Privileges {
    type Output = Privileges;
    fn bitand(self, other: Privileges) -> Privileges {
        Privileges(self.0 & other.0)
    }
}
impl BitOrAssign for Privileges {
    fn bitor_assign(&mut self, other: Privileges) {
        self.0 |= other.0;
    }
}
impl BitAndAssign for Privileges {
    fn bitand_assign(&mut self, other: Privileges) {
        self.0 &= other.0;
    }
}
impl Not for Privileges {
    type Output = Privileges;
    fn not(self) -> Privileges {
        Privileges(!self.0)
    }
}

/// What privileges can be granted on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum ObjectClass {
    Column,
    Table,
    Sequence,
    Database,
    Function,
    Language,
    LargeObject,
    Schema,
    Parameter,
    Tablespace,
    ForeignDataWrapper,
    ForeignServer,
    Type,
}

impl ObjectClass {
    /// All privileges that such objects have.
    pub fn all(self) -> Privileges {
        use Privileges as P;
        match self {
            ObjectClass::Column => P::INSERT | P::SELECT | P::UPDATE | P::REFERENCES,
            ObjectClass::Table => {
                P::INSERT | P::SELECT | P::UPDATE | P::DELETE | P::TRUNCATE | P::REFERENCES | P::TRIGGER
            }
            ObjectClass::Sequence => P::USAGE | P::SELECT | P::UPDATE,
            ObjectClass::Database => P::CREATE | P::TEMPORARY | P::CONNECT,
            ObjectClass::Function => P::EXECUTE,
            ObjectClass::Language
            | ObjectClass::Type
            | ObjectClass::ForeignDataWrapper
            | ObjectClass::ForeignServer => P::USAGE,
            ObjectClass::LargeObject => P::SELECT | P::UPDATE,
            ObjectClass::Schema => P::USAGE | P::CREATE,
            ObjectClass::Parameter => P::SET | P::ALTER_SYSTEM,
            ObjectClass::Tablespace => P::CREATE,
        }
    }
    /// What everybody has as long as nobody says otherwise.
    pub fn public(self) -> Privileges {
        match self {
            ObjectClass::Database => Privileges::TEMPORARY | Privileges::CONNECT,
            ObjectClass::Function => Privileges::EXECUTE,
            ObjectClass::Language | ObjectClass::Type => Privileges::USAGE,
            _ => Privileges::NONE,
        }
    }
    /// As acldefault() and pg_default_acl name it.
    pub fn of_letter(letter: char) -> Option<ObjectClass> {
        Some(match letter {
            'c' => ObjectClass::Column,
            'r' => ObjectClass::Table,
            's' | 'S' => ObjectClass::Sequence,
            'd' => ObjectClass::Database,
            'f' => ObjectClass::Function,
            'l' => ObjectClass::Language,
            'L' => ObjectClass::LargeObject,
            'n' => ObjectClass::Schema,
            'p' => ObjectClass::Parameter,
            't' => ObjectClass::Tablespace,
            'F' => ObjectClass::ForeignDataWrapper,
            'T' => ObjectClass::Type,
            _ => return None,
        })
    }
    /// As messages name such an object.
    pub fn word(self) -> &'static str {
        match self {
            ObjectClass::Column => "column",
            ObjectClass::Table => "table",
            ObjectClass::Sequence => "sequence",
            ObjectClass::Database => "database",
            ObjectClass::Function => "function",
            ObjectClass::Language => "language",
            ObjectClass::LargeObject => "large object",
            ObjectClass::Schema => "schema",
            ObjectClass::Parameter => "parameter",
            ObjectClass::Tablespace => "tablespace",
            ObjectClass::ForeignDataWrapper => "foreign-data wrapper",
            ObjectClass::ForeignServer => "foreign server",
            ObjectClass::Type => "type",
        }
    }
    pub fn default_acl(self, owner: Oid) -> Acl {
        let mut acl = Acl::default();
        if !self.public().is_empty() {
            let privileges = self.public();
            acl.0.push(AclItem {
                grantee: PUBLIC_ROLE,
                grantor: owner,
                privileges,
                grantable: Privileges::NONE,
            });
        }
        // Columns have no privileges of their own until some are granted.
        if self != ObjectClass::Column {
            let privileges = self.all();
            acl.0.push(AclItem { grantee: owner, grantor: owner, privileges, grantable: Privileges::NONE });
        }
        acl
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AclItem {
    /// [`PUBLIC_ROLE`]: everybody.
    pub grantee: Oid,
    pub grantor: Oid,
    pub privileges: Privileges,
    /// Those that the grantee may pass on.
    pub grantable: Privileges,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Acl(pub Vec<AclItem>);

/// How an item changes a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AclChange {
    Grant,
    Revoke { cascade: bool },
}

impl Acl {
    /// What `public` and its like start with: everybody may look things up in it.
    pub fn of_schema(owner: Oid) -> Acl {
        let item = |grantee, privileges| AclItem {
            grantee,
            grantor: owner,
            privileges,
            grantable: Privileges::NONE,
        };
        Acl(vec![item(owner, ObjectClass::Schema.all()), item(PUBLIC_ROLE, Privileges::USAGE)])
    }

    /// What the items of exactly this grantee give; an owner's grant options included.
    pub fn direct(&self, role: Oid, owner: Oid) -> (Privileges, Privileges) {
        let mut held = (Privileges::NONE, Privileges::NONE);
        if role == owner {
            held.1 = !Privileges::NONE;
        }
        for item in self.0.iter().filter(|item| item.grantee == role) {
            held.0 |= item.privileges;
            held.1 |= item.grantable;
        }
        held
    }

    /// Privileges and grant options of one who counts as any of `roles`, PUBLIC's included.
    pub fn held(&self, roles: &[Oid], owner: Oid) -> (Privileges, Privileges) {
        let mut held = (Privileges::NONE, Privileges::NONE);
        if roles.contains(&owner) {
            held.1 = !Privileges::NONE;
        }
        for item in &self.0 {
            if item.grantee == PUBLIC_ROLE || roles.contains(&item.grantee) {
                held.0 |= item.privileges;
                held.1 |= item.grantable;
            }
        }
        held
    }

    /// The list with an item added or taken away (aclupdate). `catalog` knows who counts as whom.
    pub fn changed(&self, item: AclItem, change: AclChange, owner: Oid, catalog: &Catalog) -> Result<Acl> {
        if change == AclChange::Grant && !item.grantable.is_empty() {
            self.check_circularity(&item, owner, catalog)?;
        }
        let mut list = self.clone();
        let same = |other: &AclItem| other.grantee == item.grantee && other.grantor == item.grantor;
        let at = match list.0.iter().position(same) {
            Some(at) => at,
            None => {
                let (privileges, grantable) = (Privileges::NONE, Privileges::NONE);
                list.0.push(AclItem { privileges, grantable, ..item });
                list.0.len() - 1
            }
        };
        let entry = &mut list.0[at];
        let before = entry.grantable;
        match change {
            AclChange::Grant => {
                entry.privileges |= item.privileges;
                entry.grantable |= item.grantable;
            }
            AclChange::Revoke { .. } => {
                entry.privileges &= !item.privileges;
                entry.grantable &= !item.grantable;
            }
        }
        let lost = before & !entry.grantable;
        if entry.privileges.is_empty() && entry.grantable.is_empty() {
            list.0.remove(at);
        }
        match change {
            AclChange::Revoke { cascade } if !lost.is_empty() => {
                list.revoke_abandoned(item.grantee, lost, owner, cascade, catalog)
            }
            _ => Ok(list),
        }
    }

    /// Takes back what a role granted by options that it has lost.
    fn revoke_abandoned(
        self,
        role: Oid,
        lost: Privileges,
        owner: Oid,
        cascade: bool,
        catalog: &Catalog,
    ) -> Result<Acl> {
        if role == owner {
            return Ok(self);
        }
        let lost = lost & !self.held(&catalog.privileges_of(role), owner).1;
        if lost.is_empty() {
            return Ok(self);
        }
        let mut list = self;
        loop {
            let depends = |item: &&AclItem| item.grantor == role && item.privileges.intersects(lost);
            let Some(found) = list.0.iter().find(depends).copied() else { return Ok(list) };
            if !cascade {
                let message = "dependent privileges exist";
                return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                    .hint("Use CASCADE to revoke them too."));
            }
            let item = AclItem { privileges: lost, grantable: lost, ..found };
            list = list.changed(item, AclChange::Revoke { cascade }, owner, catalog)?;
        }
    }

    /// A grant option must not come back to whom it came from: without the grantee's options, the grantor must still have
    /// those that are to be granted.
    fn check_circularity(&self, item: &AclItem, owner: Oid, catalog: &Catalog) -> Result<()> {
        if item.grantor == owner {
            return Ok(());
        }
        let mut list = self.clone();
        loop {
            let options = |other: &&AclItem| other.grantee == item.grantee && !other.grantable.is_empty();
            let Some(found) = list.0.iter().find(options).copied() else { break };
            let option = AclItem { privileges: Privileges::NONE, ..found };
            list = list.changed(option, AclChange::Revoke { cascade: true }, owner, catalog)?;
        }
        let own = list.held(&catalog.privileges_of(item.grantor), owner).1;
        if own.contains(item.grantable) {
            return Ok(());
        }
        let message = "grant options cannot be granted back to your own grantor";
        Err(Error::new(SqlState(*b"0LP01"), message))
    }

    /// With an owner's entries made over to another; items that then have the same roles are merged.
    pub fn with_owner(&self, old: Oid, new: Oid) -> Acl {
        let moved = |role| if role == old { new } else { role };
        let mut list = Acl::default();
        for item in &self.0 {
            let item = AclItem { grantee: moved(item.grantee), grantor: moved(item.grantor), ..*item };
            match list.0.iter_mut().find(|o| o.grantee == item.grantee && o.grantor == item.grantor) {
                Some(other) => {
                    other.privileges |= item.privileges;
                    other.grantable |= item.grantable;
                }
                None => list.0.push(item),
            }
        }
        list
    }

    pub fn mentions(&self, role: Oid) -> bool {
        self.0.iter().any(|item| item.grantee == role || item.grantor == role)
    }
}

// ---- text ----

/// `name=arw*/name`, as aclitem's output function has it.
pub fn item_text(item: &AclItem, catalog: &Catalog) -> String {
    let name = |role: Oid| catalog.role(role).map_or_else(|| role.to_string(), |role| quoted(&role.name));
    let mut text = if item.grantee == PUBLIC_ROLE { String::new() } else { name(item.grantee) };
    text.push('=');
    for (bit, letter, _) in item.privileges.each() {
        text.push(letter);
        if item.grantable.intersects(bit) {
            text.push('*');
        }
    }
    text.push('/');
    text.push_str(&name(item.grantor));
    text
}

fn quoted(name: &str) -> String {
    match !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// The reverse of [`item_text`]: 22P02 for what is none, 42704 for an unknown role. A grantor that is not named is the superuser
/// of the first hour.
pub fn parse_item(text: &str, catalog: &Catalog) -> Result<AclItem> {
    let invalid = |message: String| Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message);
    let role = |name: &str| -> Result<Oid> {
        let found = catalog.find_role(name).map(|role| role.oid);
        let found = found.or_else(|| name.parse().ok().filter(|oid| catalog.role(*oid).is_some()));
        found.ok_or_else(|| Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist")))
    };
    let (mut name, mut rest) = take_name(text.trim_start())?;
    if !rest.starts_with('=') {
        // "group name" and "user name" are accepted.
        if name != "group" && name != "user" {
            return Err(invalid(format!("unrecognized key word: \"{name}\""))
                .hint("ACL key word must be \"group\" or \"user\"."));
        }
        (name, rest) = take_name(rest.trim_start())?;
        if name.is_empty() {
            let hint = "A name must follow the \"group\" or \"user\" key word.";
            return Err(invalid("missing name".to_owned()).hint(hint));
        }
    }
    let Some(rest) = rest.strip_prefix('=') else {
        return Err(invalid("missing \"=\" sign".to_owned()));
    };
    let (mut privileges, mut grantable) = (Privileges::NONE, Privileges::NONE);
    let mut last = Privileges::NONE;
    let mut rest = rest;
    while let Some(letter) = rest.chars().next().filter(|c| c.is_ascii_alphabetic() || *c == '*') {
        rest = &rest[1..];
        if letter == '*' {
            grantable |= last;
            continue;
        }
        last = Privileges::of_letter(letter)
            .ok_or_else(|| invalid("invalid mode character: must be one of \"arwdDxtXUCTcsA\"".to_owned()))?;
        privileges |= last;
    }
    let grantee = if name.is_empty() { PUBLIC_ROLE } else { role(&name)? };
    let grantor = match rest.strip_prefix('/') {
        Some(by) => {
            let (name, after) = take_name(by)?;
            rest = after;
            if name.is_empty() {
                return Err(invalid("a name must follow the \"/\" sign".to_owned()));
            }
            role(&name)?
        }
        None => super::ROLE_POSTGRES,
    };
    if !rest.trim().is_empty() {
        return Err(invalid("extra garbage at the end of the ACL specification".to_owned()));
    }
    Ok(AclItem { grantee, grantor, privileges, grantable })
}

/// A name at the start of the text, quoted or not, and what follows it.
fn take_name(text: &str) -> Result<(String, &str)> {
    let mut name = String::new();
    let mut in_quotes = false;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' if in_quotes && matches!(characters.peek(), Some((_, '"'))) => {
                characters.next();
                name.push('"');
            }
            '"' => in_quotes = !in_quotes,
            c if in_quotes || c.is_ascii_alphanumeric() || c == '_' => name.push(c),
            _ => return Ok((name, text[at..].trim_start())),
        }
        if name.len() > 63 {
            let message = "identifier too long";
            return Err(Error::new(SqlState(*b"42622"), message)
                .detail("Identifier must be less than 64 characters."));
        }
    }
    Ok((name, ""))
}

// ---- who counts as whom ----

/// Roles that PostgreSQL has from the start: OID, name, and what they are members of.
const PREDEFINED: &[(Oid, &str, &[Oid])] = &[
    (DATABASE_OWNER, "pg_database_owner", &[]),
    (READ_ALL_DATA, "pg_read_all_data", &[]),
    (WRITE_ALL_DATA, "pg_write_all_data", &[]),
    (MONITOR, "pg_monitor", &[READ_ALL_SETTINGS, READ_ALL_STATS, STAT_SCAN_TABLES]),
    (READ_ALL_SETTINGS, "pg_read_all_settings", &[]),
    (READ_ALL_STATS, "pg_read_all_stats", &[]),
    (STAT_SCAN_TABLES, "pg_stat_scan_tables", &[]),
    (READ_SERVER_FILES, "pg_read_server_files", &[]),
    (WRITE_SERVER_FILES, "pg_write_server_files", &[]),
    (EXECUTE_SERVER_PROGRAM, "pg_execute_server_program", &[]),
    (SIGNAL_BACKEND, "pg_signal_backend", &[]),
    (CHECKPOINT, "pg_checkpoint", &[]),
];

pub const DATABASE_OWNER: Oid = 6171;
pub const READ_ALL_DATA: Oid = 6181;
pub const WRITE_ALL_DATA: Oid = 6182;
pub const MONITOR: Oid = 3373;
pub const READ_ALL_SETTINGS: Oid = 3374;
pub const READ_ALL_STATS: Oid = 3375;
pub const STAT_SCAN_TABLES: Oid = 3377;
pub const READ_SERVER_FILES: Oid = 4569;
pub const WRITE_SERVER_FILES: Oid = 4570;
pub const EXECUTE_SERVER_PROGRAM: Oid = 4571;
pub const SIGNAL_BACKEND: Oid = 4200;
pub const CHECKPOINT: Oid = 4544;

/// A role's membership in another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Membership {
    pub role: Oid,
    pub grantor: Oid,
    /// WITH ADMIN OPTION: the member may pass the membership on.
    pub admin: bool,
}

/// The predefined roles as they are until a grant changes one: these are not stored.
pub fn predefined_roles() -> impl Iterator<Item = Role> {
    PREDEFINED.iter().map(|(oid, name, member_of)| {
        let membership = |role: &Oid| Membership { role: *role, grantor: super::ROLE_POSTGRES, admin: false };
        Role {
            oid: *oid,
            name: (*name).to_owned(),
            superuser: false,
            login: false,
            create_database: false,
            create_role: false,
            inherit: true,
            settings: Vec::new(),
            password: None,
            connection_limit: -1,
            replication: false,
            bypass_rls: false,
            valid_until: None,
            comment: None,
            member_of: member_of.iter().map(membership).collect(),
        }
    })
}

/// System relations that hold what is not for everybody.
const SECRET_RELATIONS: &[&str] = &[
    "pg_authid",
    "pg_backend_memory_contexts",
    "pg_config",
    "pg_file_settings",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_largeobject",
    "pg_replication_origin_status",
    "pg_shadow",
    "pg_shmem_allocations",
    "pg_statistic",
    "pg_subscription",
    "pg_user_mapping",
    // Keys of rows, and statements.
    "serin_conflicts",
];

/// Built-in functions that not everybody may call, with whom they are granted to.
const RESTRICTED_FUNCTIONS: &[(&str, &[Oid])] = &[
    ("lo_export", &[]),
    ("lo_import", &[]),
    ("pg_backup_start", &[]),
    ("pg_backup_stop", &[]),
    ("pg_config", &[]),
    ("pg_create_restore_point", &[]),
    ("pg_current_logfile", &[MONITOR]),
    ("pg_get_backend_memory_contexts", &[READ_ALL_STATS]),
    ("pg_get_shmem_allocations", &[READ_ALL_STATS]),
    ("pg_hba_file_rules", &[]),
    ("pg_log_backend_memory_contexts", &[]),
    ("pg_ls_dir", &[]),
    ("pg_ls_logdir", &[MONITOR]),
    ("pg_ls_tmpdir", &[MONITOR]),
    ("pg_ls_waldir", &[MONITOR]),
    ("pg_promote", &[]),
    ("pg_read_binary_file", &[]),
    ("pg_read_file", &[]),
    ("pg_reload_conf", &[]),
    ("pg_rotate_logfile", &[]),
    ("pg_show_all_file_settings", &[]),
    ("pg_stat_file", &[]),
    ("pg_stat_reset", &[]),
    ("pg_stat_reset_shared", &[]),
    ("pg_stat_reset_single_table_counters", &[]),
    ("pg_switch_wal", &[]),
    ("pg_wal_replay_pause", &[]),
    ("pg_wal_replay_resume", &[]),
    ("serin_next_identity", &[]),
];

fn item(grantee: Oid, privileges: Privileges) -> AclItem {
    AclItem { grantee, grantor: super::ROLE_POSTGRES, privileges, grantable: Privileges::NONE }
}

/// The built-in functions that a new database doesn't let everybody call.
pub fn restricted_functions() -> impl Iterator<Item = Oid> {
    let named = |(name, _): &(&'static str, _)| crate::functions::functions_named(name);
    RESTRICTED_FUNCTIONS.iter().flat_map(named).map(|function| function.oid)
}

/// A built-in object's list as a new database has it.
pub(crate) fn initial_acl(class: ObjectClass, oid: Oid) -> &'static Acl {
    static LISTS: OnceLock<[Acl; 4]> = OnceLock::new();
    let [public, secret, function, usage] = LISTS.get_or_init(|| {
        let owner = super::ROLE_POSTGRES;
        let all = ObjectClass::Table.all();
        [
            Acl(vec![item(owner, all), item(PUBLIC_ROLE, Privileges::SELECT)]),
            Acl(vec![item(owner, all)]),
            ObjectClass::Function.default_acl(owner),
            ObjectClass::Type.default_acl(owner),
        ]
    });
    match class {
        ObjectClass::Table => match super::system::by_oid(oid) {
            Some(relation) if SECRET_RELATIONS.contains(&relation.name) => secret,
            _ => public,
        },
        ObjectClass::Function => {
            static RESTRICTED: OnceLock<HashMap<Oid, Acl>> = OnceLock::new();
            let restricted = RESTRICTED.get_or_init(|| {
                let mut lists = HashMap::new();
                for (name, granted) in RESTRICTED_FUNCTIONS {
                    let items = [super::ROLE_POSTGRES].iter().chain(*granted);
                    let list: Vec<AclItem> = items.map(|role| item(*role, Privileges::EXECUTE)).collect();
                    for function in crate::functions::functions_named(name) {
                        lists.insert(function.oid, Acl(list.clone()));
                    }
                }
                lists
            });
            restricted.get(&oid).unwrap_or(function)
        }
        _ => usage,
    }
}

impl Catalog {
    /// The list of a built-in object.
    pub fn built_in_acl(&self, class: ObjectClass, oid: Oid) -> &Acl {
        let changed = self.grants().and_then(|grants| {
            grants.built_in.iter().find(|entry| entry.class == class && entry.oid == oid && entry.column == 0)
        });
        changed.map_or_else(|| initial_acl(class, oid), |entry| &entry.acl)
    }
    pub fn built_in_column_acl(&self, relation: Oid, number: i16) -> Option<&Acl> {
        let entries = self.grants()?.built_in.iter();
        let of = |entry: &&super::BuiltInAcl| {
            entry.class == ObjectClass::Column && entry.oid == relation && entry.column == number
        };
        entries.filter(of).map(|entry| &entry.acl).next()
    }
    /// Whether a built-in object's list is not its class's default.
    pub fn is_built_in_restricted(&self, class: ObjectClass, oid: Oid) -> bool {
        !self
            .built_in_acl(class, oid)
            .0
            .iter()
            .any(|item| item.grantee == PUBLIC_ROLE && item.privileges.contains(class.public()))
    }

    pub fn is_superuser(&self, role: Oid) -> bool {
        self.role(role).is_some_and(|role| role.superuser)
    }

    /// The role and all whose privileges it has by inheritance.
    pub fn privileges_of(&self, role: Oid) -> Vec<Oid> {
        self.closure(role, true)
    }

    /// The role and all that it is a member of, directly or not.
    pub fn memberships_of(&self, role: Oid) -> Vec<Oid> {
        self.closure(role, false)
    }

    fn closure(&self, role: Oid, inherited: bool) -> Vec<Oid> {
        let mut found = vec![role];
        let database_owner = self.database().owner;
        let mut at = 0;
        while at < found.len() {
            let member = found[at];
            at += 1;
            let Some(member) = self.role(member) else { continue };
            if inherited && !member.inherit {
                continue;
            }
            // The database's owner is that role's one member, without a grant.
            let implicit = (member.oid == database_owner).then_some(DATABASE_OWNER);
            for role in member.member_of.iter().map(|membership| membership.role).chain(implicit) {
                if !found.contains(&role) {
                    found.push(role);
                }
            }
        }
        found
    }

    /// Whether a role may act with another's privileges without SET ROLE.
    pub fn has_privileges_of(&self, member: Oid, role: Oid) -> bool {
        member == role || self.is_superuser(member) || self.privileges_of(member).contains(&role)
    }

    /// Whether a role may SET ROLE to another.
    pub fn is_member_of(&self, member: Oid, role: Oid) -> bool {
        member == role || self.is_superuser(member) || self.memberships_of(member).contains(&role)
    }

    /// Whether a role may grant membership in another.
    pub fn is_admin_of(&self, member: Oid, role: Oid) -> bool {
        if self.is_superuser(member) {
            return true;
        }
        let through = self.memberships_of(member);
        through.iter().filter_map(|role| self.role(*role)).any(|holder| {
            holder.member_of.iter().any(|membership| membership.role == role && membership.admin)
        })
    }

    /// What a role may do with an object, and what of it it may pass on.
    pub fn held(
        &self,
        role: Oid,
        class: ObjectClass,
        acl: Option<&Acl>,
        owner: Oid,
    ) -> (Privileges, Privileges) {
        if self.is_superuser(role) {
            return (!Privileges::NONE, !Privileges::NONE);
        }
        let roles = self.privileges_of(role);
        let mut held = match acl {
            Some(acl) => acl.held(&roles, owner),
            None if roles.contains(&owner) && class != ObjectClass::Column => {
                (class.all() | class.public(), !Privileges::NONE)
            }
            None => (class.public(), Privileges::NONE),
        };
        match class {
            ObjectClass::Table | ObjectClass::Sequence => {
                if roles.contains(&READ_ALL_DATA) {
                    held.0 |= Privileges::SELECT;
                }
                if roles.contains(&WRITE_ALL_DATA) && class == ObjectClass::Table {
                    held.0 |= Privileges::INSERT | Privileges::UPDATE | Privileges::DELETE;
                }
                if roles.contains(&WRITE_ALL_DATA) && class == ObjectClass::Sequence {
                    held.0 |= Privileges::UPDATE;
                }
            }
            ObjectClass::Schema if roles.contains(&READ_ALL_DATA) || roles.contains(&WRITE_ALL_DATA) => {
                held.0 |= Privileges::USAGE;
            }
            _ => {}
        }
        held
    }
}

/// 42501: `permission denied for table t`.
pub fn denied(what: &str, name: &str) -> Error {
    Error::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied for {what} {name}"))
}
