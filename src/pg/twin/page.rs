//! Pages of a B-tree that has a height but no entries.
//!
//! The planner charges for the descent from the root, so it reads the height from the metapage, and it looks at the
//! tree's ends to correct a histogram's last bound. A tree of one inner page a level above one empty leaf answers both:
//! the right height, and "nothing there". The layout is that of `nbtree.h`, the same from version 12 on.

use crate::units::PAGE_BYTES;

/// Bytes of a page.
const PAGE: usize = PAGE_BYTES as usize;
/// Bytes of the page header.
const HEADER: usize = 24;
/// Bytes of `BTPageOpaqueData` at the page's end.
const SPECIAL: usize = 16;
/// `BTP_LEAF`.
const LEAF: u16 = 1;
/// `BTP_ROOT`.
const ROOT: u16 = 2;
/// Set in `t_info` of a tuple whose pointer means something else than a heap row.
const ALTERNATIVE_TID: u16 = 0x2000;
/// Bytes of a tuple without key: minus infinity.
const TUPLE: usize = 8;
/// `LP_NORMAL`, in place.
const LINE_POINTER_NORMAL: u32 = 1 << 15;
/// Page size and layout version, as the header holds them together.
const SIZE_AND_VERSION: u16 = PAGE_BYTES as u16 | 4;

/// Where `btm_root` is in block 0; `btm_level`, `btm_fastroot` and `btm_fastlevel` follow.
pub(super) const META_ROOT_OFFSET: u64 = HEADER as u64 + 8;

/// Bytes an inner page fills when a tree is built: 70 % of what is between header and special space.
const INNER_BYTES: f64 = (PAGE - HEADER - SPECIAL) as f64 * 0.7;
/// No tree is higher: 100 entries an inner page make more leaves than a file can have.
const HEIGHT_MAX: u32 = 8;

/// Returns the levels above the leaves of a freshly built B-tree of that many pages, metapage included.
///
/// `key_bytes` is the width of all keys together. An inner entry is a tuple header, the key and a line pointer. Suffix
/// truncation makes real entries smaller now and then, hence trees near a boundary may be one level lower.
pub(super) fn height(pages: u64, key_bytes: f64) -> u32 {
    let fanout = (INNER_BYTES / (8.0 + (key_bytes / 8.0).ceil().max(1.0) * 8.0 + 4.0)).floor().max(2.0);
    let mut level = pages.saturating_sub(1) as f64;
    let mut height = 0;
    while level > 1.0 && height < HEIGHT_MAX {
        // The inner pages are among the pages counted; they are less than one in `fanout`.
        level = if height == 0 { (level * (1.0 - 1.0 / fanout) / fanout).ceil() } else { (level / fanout).ceil() };
        height += 1;
    }
    height
}

/// Returns `btm_root`, `btm_level`, `btm_fastroot`, `btm_fastlevel` of a tree whose root is block 1.
pub(super) fn metapage_root(height: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (at, value) in [1, height, 1, height].into_iter().enumerate() {
        bytes[at * 4..at * 4 + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// Returns blocks 1 to `height + 1`: root, inner pages, an empty leaf, each the only one of its level.
pub(super) fn chain(height: u32) -> Vec<u8> {
    let mut pages = Vec::with_capacity((height as usize + 1) * PAGE);
    for level in (0..=height).rev() {
        let block = height - level + 1;
        pages.extend_from_slice(&page(level, level == height, block + 1));
    }
    pages
}

fn page(level: u32, is_root: bool, child: u32) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    let special = PAGE - SPECIAL;
    let (lower, upper) = if level == 0 { (HEADER, special) } else { (HEADER + 4, special - TUPLE) };
    // pd_lsn, pd_checksum and pd_flags stay 0.
    put(&mut page, 12, &(lower as u16).to_le_bytes());
    put(&mut page, 14, &(upper as u16).to_le_bytes());
    put(&mut page, 16, &(special as u16).to_le_bytes());
    put(&mut page, 18, &SIZE_AND_VERSION.to_le_bytes());
    if level > 0 {
        let line_pointer = upper as u32 | LINE_POINTER_NORMAL | ((TUPLE as u32) << 17);
        put(&mut page, HEADER, &line_pointer.to_le_bytes());
        // The child's block number as two halves, the high one first; then no key attributes; then the size.
        put(&mut page, upper, &((child >> 16) as u16).to_le_bytes());
        put(&mut page, upper + 2, &(child as u16).to_le_bytes());
        put(&mut page, upper + 6, &(TUPLE as u16 | ALTERNATIVE_TID).to_le_bytes());
    }
    // btpo_prev and btpo_next stay 0: no neighbours.
    put(&mut page, special + 8, &level.to_le_bytes());
    let flags = if level == 0 { LEAF } else { 0 } | if is_root { ROOT } else { 0 };
    put(&mut page, special + 12, &flags.to_le_bytes());
    page
}

fn put(page: &mut [u8], at: usize, bytes: &[u8]) {
    page[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    }

    #[test]
    fn a_tree_of_height_two_is_root_inner_leaf() {
        let pages = chain(2);
        assert_eq!(pages.len(), 3 * PAGE);
        let levels: Vec<u32> = (0..3).map(|at| number(&pages, at * PAGE + PAGE - 8)).collect();
        assert_eq!(levels, [2, 1, 0]);
        let flags: Vec<u32> = (0..3).map(|at| number(&pages, at * PAGE + PAGE - 4)).collect();
        assert_eq!(flags, [u32::from(ROOT), 0, u32::from(LEAF)]);
        // Each inner page's only entry names the next block.
        let tuple = PAGE - SPECIAL - TUPLE;
        assert_eq!([pages[tuple + 2], pages[PAGE + tuple + 2]], [2, 3]);
        assert_eq!(u16::from_le_bytes([pages[2 * PAGE + 12], pages[2 * PAGE + 13]]), HEADER as u16, "the leaf has no entries");
    }

    #[test]
    fn the_metapage_names_block_one() {
        let bytes = metapage_root(3);
        assert_eq!([number(&bytes, 0), number(&bytes, 4), number(&bytes, 8), number(&bytes, 12)], [1, 3, 1, 3]);
    }

    #[test]
    fn a_tree_of_one_leaf_has_height_zero() {
        assert_eq!([height(0, 8.0), height(1, 8.0), height(2, 8.0), height(3, 8.0)], [0, 0, 0, 1]);
    }

    #[test]
    fn heights_are_those_of_built_indexes() {
        // Pages and level as pageinspect gave them on 15.20, by bytes of the keys.
        let bigint = [(2, 0), (4, 1), (221, 1), (276, 1), (3_293, 2)];
        let uuid = [(4, 1), (311, 2), (388, 2), (4_623, 2)];
        let text = [(5, 1), (6, 1), (665, 2), (831, 2), (9_945, 3)];
        let text_and_uuid = [(6, 1), (845, 2), (1_055, 2), (12_636, 3)];
        let built = [(8.0, &bigint[..]), (16.0, &uuid), (41.0, &text), (57.0, &text_and_uuid)];
        for (key_bytes, cases) in built {
            for (pages, level) in cases {
                assert_eq!(height(*pages, key_bytes), *level, "{pages} pages of {key_bytes} bytes");
            }
        }
    }
}
