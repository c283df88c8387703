//! Hex dumps of every structure on disk: a change of format shows here, and needs a new format version.

use crate::base::TreeRoot;
use crate::meta::Meta;
use crate::page::{
    CellValue, Cells, PAGE_SIZE, Page, PageKind, PageStamp, encode_free_list, encode_node, encode_overflow,
};
use crate::wal::{Operation, RecordHeader, decode_operation, encode_operation, encode_segment_header};
use crate::{Lsn, PageId, Timestamp, TreeId, WriterId};
use std::path::Path;

/// Sixteen bytes a line, lines of zeros left out.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (index, line) in bytes.chunks(16).enumerate().filter(|(_, line)| line.iter().any(|byte| *byte != 0)) {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        text += &format!("{:04x}: {}\n", index * 16, hex.join(" "));
    }
    text
}

fn assert_golden(bytes: &[u8], expected: &str) {
    let expected: String =
        expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    assert_eq!(dump(bytes).trim_end(), expected);
}

const STAMP: PageStamp = PageStamp { id: PageId(5), tree: TreeId(3), generation: 9 };
const ROOT: TreeRoot = TreeRoot { page: PageId(17), height: 2, entries: 1000, pages: 40, overflow_pages: 4 };

#[test]
fn leaf() {
    let mut cells = Cells::default();
    cells.push_leaf(b"key", b"value");
    cells.push_overflow(b"long", 10_000, PageId(7));
    let mut page = vec![0xaa; PAGE_SIZE];
    encode_node(&mut page, STAMP, 0, &cells, 0, 2);
    assert_golden(&page, LEAF);
    assert!(Page::verify(PageId(5), page.into()).is_ok());
}

#[test]
fn interior() {
    let mut cells = Cells::default();
    cells.push_child(PageId(8), b"lower bound, not written");
    cells.push_child(PageId(9), b"m");
    let mut page = vec![0xaa; PAGE_SIZE];
    encode_node(&mut page, STAMP, 1, &cells, 0, 2);
    assert_golden(&page, INTERIOR);
    let page = Page::verify(PageId(5), page.into()).unwrap();
    assert_eq!((page.child_index(b"a"), page.child_index(b"m"), page.child_index(b"z")), (0, 1, 1));
}

#[test]
fn overflow_and_free_list() {
    let mut page = vec![0xaa; PAGE_SIZE];
    encode_overflow(&mut page, STAMP, b"a share of the value", PageId(6));
    assert_golden(&page, OVERFLOW);
    encode_free_list(&mut page, STAMP, &[(PageId(2), 3), (PageId(16), 1)], PageId(0));
    assert_golden(&page, FREE_LIST);
}

#[test]
fn meta() {
    let meta = Meta {
        generation: 9,
        fold_ts: Timestamp(100),
        replay_start: Lsn(0x1234),
        page_count: 50,
        free_list: PageId(2),
        next_tree: TreeId(4),
        next_writer: WriterId(200),
        directory: ROOT,
        store_id: 0,
    };
    let page = meta.encode();
    assert_golden(&page, META);
    assert_eq!(Meta::decode(&page, Path::new("f")).unwrap(), Some(meta));
}

#[test]
fn log() {
    assert_golden(&encode_segment_header(Lsn(0x1234)), SEGMENT);
    let operations = [
        Operation::CreateTree(TreeId(3)),
        Operation::Put { tree: TreeId(3), key: b"key", value: b"value" },
        Operation::Delete { tree: TreeId(300), key: b"gone" },
        Operation::BulkInstall { tree: TreeId(4), root: ROOT, extents: vec![(PageId(10), 512)] },
        Operation::DropTree(TreeId(2)),
        Operation::Layer {
            tree: TreeId(4),
            root: ROOT,
            extents: vec![(PageId(10), 512)],
            discarded: vec![(3, 9)],
        },
        Operation::Time(0x3_1234_5678_9abc),
    ];
    let mut body = Vec::new();
    operations.iter().for_each(|operation| encode_operation(operation, &mut body));
    assert_golden(&body, BODY);
    let mut rest = body.as_slice();
    for operation in &operations {
        assert_eq!(decode_operation(&mut rest).as_ref(), Some(operation));
    }
    for cut in 0..body.len() {
        // Whatever is cut off or changed: an answer, no panic.
        let mut rest = &body[..cut];
        while !rest.is_empty() && decode_operation(&mut rest).is_some() {}
        let mut changed = body.clone();
        changed[cut] ^= 0xff;
        let mut rest = changed.as_slice();
        while !rest.is_empty() && decode_operation(&mut rest).is_some() {}
    }
    let header = RecordHeader {
        body_bytes: body.len() as u32,
        body_crc: crc32c::crc32c(&body),
        lsn: Lsn(0x1234),
        timestamp: Timestamp(101),
        batch_start: Lsn(0x1200),
        writer: WriterId(77),
    };
    assert_golden(&header.encode(), RECORD);
    assert_eq!(RecordHeader::decode(&header.encode()), Some(header));
}

#[test]
fn hostile_pages_are_refused() {
    // A valid checksum over nonsense: each header and slot byte changed, then sealed again.
    let mut cells = Cells::default();
    for key in 0..20u8 {
        cells.push_leaf(&[key], &[key; 9]);
    }
    for level in 0..2 {
        for at in (4..160).filter(|at| !(16..40).contains(at)) {
            for value in [0, 1, 3, 0x7f, 0xff] {
                let mut page = vec![0; PAGE_SIZE];
                encode_node(&mut page, STAMP, 0, &cells, 0, 20);
                page[5] = level;
                page[at] = value;
                let crc = crc32c::crc32c(&page[4..]);
                page[..4].copy_from_slice(&crc.to_le_bytes());
                if let Ok(page) = Page::verify(PageId(5), page.into()) {
                    // Accepted: then every accessor works, whatever it says.
                    let read: usize = match page.kind() {
                        PageKind::Leaf => (0..page.count())
                            .map(|index| {
                                page.key(index).len()
                                    + usize::from(page.value(index) != CellValue::Inline(0, 0))
                            })
                            .sum(),
                        PageKind::Interior => (0..page.count())
                            .map(|index| page.separator(index).len() + page.child(index).0 as usize % 2)
                            .sum(),
                        PageKind::Overflow => page.overflow_bytes().len(),
                        PageKind::FreeList => page.extents().count(),
                    };
                    assert!(read <= 2 * PAGE_SIZE);
                }
            }
        }
    }
}

const LEAF: &str = "
    0000: 37 42 90 a7 01 00 02 00 05 00 00 00 00 00 00 00
    0010: 03 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    0020: 09 00 00 00 00 00 00 00 2c 00 38 00 03 00 05 00
    0030: 6b 65 79 76 61 6c 75 65 04 00 ff ff 6c 6f 6e 67
    0040: 10 27 00 00 07 00 00 00 00 00 00 00 00 00 00 00
";
const INTERIOR: &str = "
    0000: df 50 77 24 02 01 02 00 05 00 00 00 00 00 00 00
    0010: 03 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    0020: 09 00 00 00 00 00 00 00 2c 00 36 00 08 00 00 00
    0030: 00 00 00 00 00 00 09 00 00 00 00 00 00 00 01 00
    0040: 6d 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
";
const OVERFLOW: &str = "
    0000: a8 a1 3b d6 03 00 14 00 05 00 00 00 00 00 00 00
    0010: 03 00 00 00 00 00 00 00 06 00 00 00 00 00 00 00
    0020: 09 00 00 00 00 00 00 00 61 20 73 68 61 72 65 20
    0030: 6f 66 20 74 68 65 20 76 61 6c 75 65 00 00 00 00
";
const FREE_LIST: &str = "
    0000: a2 60 b7 d2 04 00 02 00 05 00 00 00 00 00 00 00
    0010: 03 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    0020: 09 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00
    0030: 03 00 00 00 00 00 00 00 10 00 00 00 00 00 00 00
    0040: 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
";
const META: &str = "
    0000: ee b8 c2 3d 01 00 00 00 53 45 52 49 4e 44 41 54
    0010: 09 00 00 00 00 00 00 00 64 00 00 00 00 00 00 00
    0020: 34 12 00 00 00 00 00 00 32 00 00 00 00 00 00 00
    0030: 02 00 00 00 00 00 00 00 04 00 00 00 00 00 00 00
    0040: c8 00 00 00 00 00 00 00 11 00 00 00 00 00 00 00
    0050: 02 00 00 00 00 00 00 00 e8 03 00 00 00 00 00 00
    0060: 28 00 00 00 00 00 00 00 04 00 00 00 00 00 00 00
    0070: 00 20 00 00 00 00 00 00 00 00 00 00 00 00 00 00
";
const SEGMENT: &str = "
    0000: 53 45 52 49 4e 57 41 4c 03 00 00 00 37 73 63 6d
    0010: 34 12 00 00 00 00 00 00 00 00 00 00 00 00 00 00
";
const BODY: &str = "
    0000: 01 03 03 03 03 6b 65 79 05 76 61 6c 75 65 04 ac
    0010: 02 04 67 6f 6e 65 05 04 11 02 e8 07 28 04 01 0a
    0020: 80 04 02 02 06 04 11 02 e8 07 28 04 01 0a 80 04
    0030: 01 03 09 10 bc b5 e2 b3 c5 c6 c4 01
";
const RECORD: &str = "
    0000: 57 4c 53 52 3c 00 00 00 e1 e9 bc eb f3 f2 a2 6f
    0010: 34 12 00 00 00 00 00 00 65 00 00 00 00 00 00 00
    0020: 00 12 00 00 00 00 00 00 4d 00 00 00 00 00 00 00
";
