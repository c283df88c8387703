//! uuid-ossp: UUIDs of every version of RFC 4122.

use crate::functions::Registry;
use crate::functions::arguments::{Uuid as Value, scalar};
use rand::RngCore;
use std::sync::LazyLock;
use uuid::{ContextV1, Timestamp, Uuid};

/// Of the UUIDs of a process's life: a random start, counted on where the clock stands still.
static CONTEXT: LazyLock<ContextV1> = LazyLock::new(|| ContextV1::new(rand::rng().next_u32() as u16));

/// A node that no network card has: the multicast bit is set, as RFC 4122 wants it where the address is not to be told.
fn random_node() -> [u8; 6] {
    let mut node = [0; 6];
    rand::rng().fill_bytes(&mut node);
    node[0] |= 1;
    node
}

/// By the clock. PostgreSQL tells the machine's network address; here it is a random one that stays while the process runs.
fn version_1(node: &[u8; 6]) -> Value {
    Value(*Uuid::new_v1(Timestamp::now(&*CONTEXT), node).as_bytes())
}

pub fn register(r: &mut Registry) {
    static NODE: LazyLock<[u8; 6]> = LazyLock::new(random_node);
    scalar!(r, "uuid_nil", || Value([0; 16]));
    scalar!(r, "uuid_ns_dns", || Value(*Uuid::NAMESPACE_DNS.as_bytes()));
    scalar!(r, "uuid_ns_url", || Value(*Uuid::NAMESPACE_URL.as_bytes()));
    scalar!(r, "uuid_ns_oid", || Value(*Uuid::NAMESPACE_OID.as_bytes()));
    scalar!(r, "uuid_ns_x500", || Value(*Uuid::NAMESPACE_X500.as_bytes()));
    scalar!(r, "uuid_generate_v1", || version_1(&NODE));
    scalar!(r, "uuid_generate_v1mc", || version_1(&random_node()));
    scalar!(r, "uuid_generate_v3", |namespace: Value, name: &str| {
        Value(*Uuid::new_v3(&Uuid::from_bytes(namespace.0), name.as_bytes()).as_bytes())
    });
    scalar!(r, "uuid_generate_v4", || Value(*Uuid::new_v4().as_bytes()));
    scalar!(r, "uuid_generate_v5", |namespace: Value, name: &str| {
        Value(*Uuid::new_v5(&Uuid::from_bytes(namespace.0), name.as_bytes()).as_bytes())
    });
}
