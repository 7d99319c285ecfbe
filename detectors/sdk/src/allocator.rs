//! The allocator of a detector: free lists of small pieces of memory, before the allocator of the standard library.
//!
//! The host allocates every list of a block of rows in the component, and the component frees it. Where rows come one by
//! one that is most of what a call costs beside the score: the allocator of the standard library takes about 250
//! instructions to allocate a piece and free it again, a free list takes about 90.
//!
//! A freed piece stays in the free list of its size, so at most as much memory lies there as was once in use.
#![allow(
    unsafe_code,
    reason = "an allocator has no other interface; the proofs stand beside each block"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::{copy_nonoverlapping, null_mut};

#[cfg(target_feature = "atomics")]
compile_error!("the free lists are for a component with one thread");

/// Sizes are rounded up to multiples of it; a piece has room for the address of the next one.
const STEP: usize = 16;
/// What pieces are aligned to.
const ALIGN: usize = 8;
/// Number of sizes: larger pieces, of more than a kibibyte, come from the standard library.
const SIZES: usize = 64;

/// The free lists.
pub struct FreeLists {
    /// The first free piece of `STEP`, twice `STEP`, ... bytes, or null. A free piece holds the address of the next one.
    first: [Cell<*mut u8>; SIZES],
}

// SAFETY: nothing is ever shared, since a component has one thread; with `atomics` this does not compile.
unsafe impl Sync for FreeLists {}

impl FreeLists {
    /// Without a free piece.
    #[allow(clippy::new_without_default, reason = "a static needs a constant")]
    pub const fn new() -> Self {
        Self {
            first: [const { Cell::new(null_mut()) }; SIZES],
        }
    }

    /// The list of the pieces that serve a layout; `None` where the standard library does. No layout has size 0.
    #[inline(always)]
    fn list(&self, layout: Layout) -> Option<(&Cell<*mut u8>, usize)> {
        let place = layout.size().wrapping_sub(1) / STEP;
        let list = self.first.get(place)?;
        (layout.align() <= ALIGN).then_some((list, place))
    }
}

// SAFETY: a piece is at least as large and as strictly aligned as each layout that its list serves, and it is either in
// use or once in one list: `alloc` takes it out and `dealloc`, which gets the layout of `alloc`, puts it into the same.
unsafe impl GlobalAlloc for FreeLists {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((list, place)) = self.list(layout) else {
            // SAFETY: the caller's promises are those that this function asks for.
            return unsafe { System.alloc(layout) };
        };
        let piece = list.get();
        if piece.is_null() {
            return fresh(place);
        }
        // SAFETY: a piece in a list is nobody's, and begins with the address that `dealloc` wrote.
        list.set(unsafe { piece.cast::<*mut u8>().read() });
        piece
    }

    #[inline(always)]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        let Some((list, _)) = self.list(layout) else {
            // SAFETY: such a layout was allocated there.
            return unsafe { System.dealloc(piece, layout) };
        };
        // SAFETY: the piece is nobody's from now on; it is aligned for an address and has at least `STEP` bytes.
        unsafe { piece.cast::<*mut u8>().write(list.get()) };
        list.set(piece);
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises a size that does not overflow when rounded up to the alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (self.list(layout), self.list(wanted)) {
            // SAFETY: as in `dealloc`; and the standard library serves the new layout too.
            (None, None) => unsafe { System.realloc(piece, layout, size) },
            (Some((_, place)), Some((_, wanted))) if place == wanted => piece,
            // SAFETY: the caller's promises; both pieces have the bytes that are copied, and are two.
            _ => unsafe {
                let other = self.alloc(wanted);
                if !other.is_null() {
                    copy_nonoverlapping(piece, other, layout.size().min(size));
                    self.dealloc(piece, layout);
                }
                other
            },
        }
    }
}

/// A piece from the standard library for the list at `place`.
#[cold]
fn fresh(place: usize) -> *mut u8 {
    // SAFETY: the size is above 0 and at most `SIZES * STEP`, the alignment a power of two.
    unsafe { System.alloc(Layout::from_size_align_unchecked((place + 1) * STEP, ALIGN)) }
}
