//! pgcrypto: digests, password hashes and random values.
//!
//! `crypt()` has what new passwords are hashed with (Blowfish, `$2a$`) and md5-based `$1$`; the DES-based forms, whose 56 bits are searched in
//! hours, and everything that encrypts (`encrypt()`, `pgp_*`) answer 0A000. Passwords hashed by PostgreSQL check here and the other way around.

use crate::error::{Error, Result, SqlState};
use crate::functions::arguments::{Uuid as UuidValue, scalar};
use crate::functions::{EvalContext, Registry, text};
use blowfish::Blowfish;
use rand::RngCore;
use sha2::Digest;

/// In which crypt() writes bits.
const ITOA64: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The same in Blowfish's hashes.
const BLOWFISH_64: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const RANDOM_BYTES_MAX: usize = 1024;

// ---- Digests ----

type Hash = fn(&[u8]) -> Vec<u8>;

struct Algorithm {
    digest: Hash,
    /// Of a block of what is digested, in bytes: as long a key can be.
    block: usize,
}

fn algorithm(name: &str) -> Result<Algorithm> {
    let (digest, block): (Hash, usize) = match text::lower(name).as_str() {
        "md5" => (|data| text::md5_bytes(data).to_vec(), 64),
        "sha1" => {
            (|data| ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, data).as_ref().to_vec(), 64)
        }
        "sha224" => (|data| sha2::Sha224::digest(data).to_vec(), 64),
        "sha256" => (|data| sha2::Sha256::digest(data).to_vec(), 64),
        "sha384" => (|data| sha2::Sha384::digest(data).to_vec(), 128),
        "sha512" => (|data| sha2::Sha512::digest(data).to_vec(), 128),
        _ => {
            let message = format!("Cannot use \"{name}\": No such hash algorithm");
            return Err(invalid(message));
        }
    };
    Ok(Algorithm { digest, block })
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// RFC 2104.
fn hmac(data: &[u8], key: &[u8], name: &str) -> Result<Vec<u8>> {
    let Algorithm { digest, block } = algorithm(name)?;
    let mut padded = if key.len() > block { digest(key) } else { key.to_vec() };
    padded.resize(block, 0);
    let keyed = |pad: u8, rest: &[u8]| {
        let mut text: Vec<u8> = padded.iter().map(|byte| byte ^ pad).collect();
        text.extend_from_slice(rest);
        digest(&text)
    };
    Ok(keyed(0x5c, &keyed(0x36, data)))
}

// ---- Random values ----

fn random(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

fn random_bytes(count: i32) -> Result<Vec<u8>> {
    match usize::try_from(count) {
        Ok(count @ 1..=RANDOM_BYTES_MAX) => Ok(random(count)),
        _ => {
            let message = "Length not in range";
            Err(Error::new(SqlState(*b"39000"), message))
        }
    }
}

/// The low bits of a number, six at a time.
fn write_64(out: &mut String, alphabet: &[u8; 64], mut bits: u32, count: usize) {
    for _ in 0..count {
        out.push(char::from(alphabet[(bits & 63) as usize]));
        bits >>= 6;
    }
}

/// Blowfish's base64: as the usual one, with an alphabet of its own and without padding.
fn write_blowfish_64(out: &mut String, bytes: &[u8]) {
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(padded);
        for at in 0..=group.len() {
            out.push(char::from(BLOWFISH_64[(bits >> (18 - 6 * at) & 63) as usize]));
        }
    }
}

fn gen_salt(kind: &str, rounds: i32) -> Result<String> {
    let wrong_rounds = || invalid("gen_salt: Incorrect number of rounds");
    let mut salt = String::new();
    match text::lower(kind).as_str() {
        "bf" => {
            let rounds = if rounds == 0 { 6 } else { rounds };
            if !(4..=31).contains(&rounds) {
                return Err(wrong_rounds());
            }
            salt = format!("$2a${rounds:02}$");
            write_blowfish_64(&mut salt, &random(16));
        }
        "md5" if matches!(rounds, 0 | 1000) => {
            salt.push_str("$1$");
            write_random_64(&mut salt, 4);
            write_random_64(&mut salt, 4);
        }
        "des" if matches!(rounds, 0 | 25) => write_random_64(&mut salt, 2),
        "xdes" => {
            let rounds = if rounds == 0 { 29 * 25 } else { rounds };
            if !(1..=0xff_ffff).contains(&rounds) || rounds % 2 == 0 {
                return Err(wrong_rounds());
            }
            salt.push('_');
            write_64(&mut salt, ITOA64, rounds as u32, 4);
            write_random_64(&mut salt, 4);
        }
        "md5" | "des" => return Err(wrong_rounds()),
        _ => return Err(invalid("gen_salt: Unknown salt algorithm")),
    }
    Ok(salt)
}

fn write_random_64(out: &mut String, count: usize) {
    write_64(out, ITOA64, rand::rng().next_u32(), count);
}

// ---- Password hashes ----

fn crypt(password: &str, salt: &str, context: &EvalContext<'_>) -> Result<String> {
    if salt.starts_with("$2") {
        return crypt_blowfish(password, salt, context);
    }
    if salt.starts_with("$1$") {
        return Ok(crypt_md5(password.as_bytes(), salt));
    }
    match salt.as_bytes() {
        [b'$' | b'_', ..] | [_, _, ..] => Err(Error::unsupported("crypt() by DES")),
        _ => Err(invalid("invalid salt")),
    }
}

/// Provos and Mazières 1999: Blowfish whose key schedule is run 2^rounds times over password and salt.
fn crypt_blowfish(password: &str, salt: &str, context: &EvalContext<'_>) -> Result<String> {
    let bad = || invalid("invalid salt");
    let rest = salt.strip_prefix("$2a$").ok_or_else(bad)?;
    let (cost, rest) = rest.split_once('$').ok_or_else(bad)?;
    let cost: u32 = cost.parse().ok().filter(|n| cost.len() == 2 && (4..=31).contains(n)).ok_or_else(bad)?;
    let written = rest.get(..22).ok_or_else(bad)?;
    let salt_bytes = read_blowfish_64(written).ok_or_else(bad)?;
    let key: Vec<u8> = password.bytes().chain([0]).take(72).collect();
    let mut state = Blowfish::bc_init_state();
    state.salted_expand_key(&salt_bytes, &key);
    for round in 0..1u32 << cost {
        if round % 64 == 0 {
            context.services.check_interrupt()?;
        }
        state.bc_expand_key(&key);
        state.bc_expand_key(&salt_bytes);
    }
    let mut hash = Vec::with_capacity(24);
    for block in b"OrpheanBeholderScryDoubt".chunks_exact(8) {
        let word = |at: usize| u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
        let mut pair = [word(0), word(4)];
        for _ in 0..64 {
            pair = state.bc_encrypt(pair);
        }
        hash.extend(pair.into_iter().flat_map(u32::to_be_bytes));
    }
    let mut out = format!("$2a${cost:02}$");
    write_blowfish_64(&mut out, &salt_bytes);
    write_blowfish_64(&mut out, &hash[..23]);
    Ok(out)
}

/// 22 characters: 16 bytes, and four bits that don't count.
fn read_blowfish_64(text: &str) -> Option<[u8; 16]> {
    let (mut bytes, mut at) = ([0; 16], 0);
    let (mut held, mut count) = (0u32, 0);
    for written in text.bytes() {
        let value = BLOWFISH_64.iter().position(|known| *known == written)? as u32;
        held = held << 6 | value;
        count += 6;
        if count >= 8 {
            count -= 8;
            *bytes.get_mut(at)? = (held >> count) as u8;
            at += 1;
        }
    }
    (at == bytes.len()).then_some(bytes)
}

/// Poul-Henning Kamp's, of FreeBSD.
fn crypt_md5(password: &[u8], setting: &str) -> String {
    let salt = setting.strip_prefix("$1$").unwrap_or(setting);
    let salt: Vec<u8> = salt.bytes().take_while(|byte| *byte != b'$').take(8).collect();
    let salt = salt.as_slice();
    let mut hash = text::md5_bytes(&[password, salt, password].concat());
    let mut start = [password, b"$1$", salt].concat();
    start.extend(hash.iter().cycle().take(password.len()));
    let mut length = password.len();
    while length > 0 {
        start.push(if length & 1 == 1 { 0 } else { password[0] });
        length >>= 1;
    }
    hash = text::md5_bytes(&start);
    for round in 0..1000 {
        let mut step = Vec::new();
        step.extend_from_slice(if round & 1 == 1 { password } else { &hash });
        if round % 3 != 0 {
            step.extend_from_slice(salt);
        }
        if round % 7 != 0 {
            step.extend_from_slice(password);
        }
        step.extend_from_slice(if round & 1 == 1 { &hash } else { password });
        hash = text::md5_bytes(&step);
    }
    let mut out = format!("$1${}$", String::from_utf8_lossy(salt));
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        let bits = u32::from_be_bytes([0, hash[a], hash[b], hash[c]]);
        write_64(&mut out, ITOA64, bits, 4);
    }
    write_64(&mut out, ITOA64, u32::from(hash[11]), 2);
    out
}

pub fn register(r: &mut Registry) {
    scalar!(r, "pgcrypto:digest/text", |data: &str, name: &str| Ok((algorithm(name)?.digest)(
        data.as_bytes()
    )));
    scalar!(r, "pgcrypto:digest/bytea", |data: &[u8], name: &str| Ok((algorithm(name)?.digest)(data)));
    scalar!(r, "pgcrypto:hmac/text", |data: &str, key: &str, name: &str| {
        hmac(data.as_bytes(), key.as_bytes(), name)
    });
    scalar!(r, "pgcrypto:hmac/bytea", |data: &[u8], key: &[u8], name: &str| hmac(data, key, name));
    scalar!(r, "pg_crypt", |context; password: &str, salt: &str| crypt(password, salt, context));
    scalar!(r, "pg_gen_salt", |kind: &str| gen_salt(kind, 0));
    scalar!(r, "pg_gen_salt_rounds", |kind: &str, rounds: i32| gen_salt(kind, rounds));
    scalar!(r, "pg_random_bytes", |count: i32| random_bytes(count));
    scalar!(r, "pg_random_uuid", || UuidValue(*uuid::Uuid::new_v4().as_bytes()));
    for name in ["pg_encrypt", "pg_decrypt", "pg_encrypt_iv", "pg_decrypt_iv"] {
        r.scalar(name, |_, _| Err(Error::unsupported("encrypt() and decrypt() of pgcrypto")));
    }
    for name in [
        "pgp_sym_encrypt_text",
        "pgp_sym_encrypt_bytea",
        "pgp_sym_decrypt_text",
        "pgp_sym_decrypt_bytea",
        "pgp_pub_encrypt_text",
        "pgp_pub_encrypt_bytea",
        "pgp_pub_decrypt_text",
        "pgp_pub_decrypt_bytea",
        "pgp_key_id_w",
    ] {
        r.scalar(name, |_, _| Err(Error::unsupported("PGP of pgcrypto")));
    }
}
