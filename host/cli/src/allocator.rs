//! How the C library gives memory back.

/// Has the C library give blocks of 128 KiB and more back to the system when they are freed. It does so at first, and
/// ends it by itself once it has seen some: the packages that come and go at a start then stay in memory, some 10 MB
/// of an idle gateway with four detectors (`cargo xtask bench runtime`: `idle`).
#[allow(
    unsafe_code,
    reason = "the C library has no other way to set this; the proof stands at the call"
)]
pub(super) fn give_large_blocks_back() {
    const LARGE_BYTES: libc::c_int = 128 << 10;
    // SAFETY: `mallopt` takes two numbers and no pointer. It sets a parameter of the allocator under the allocator's own
    // lock, any value of this one is sound, and memory that was handed out before stays as it is. It is the first call
    // of the program, so no other thread is there to see the change half way.
    let set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES) };
    // A refusal costs memory and nothing else.
    debug_assert_eq!(set, 1);
}
