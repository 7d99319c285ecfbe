//! How the C library gives memory back.

/// Fixes the allocator's mmap threshold at 128 KiB, so that freed blocks of that size go back to the system.
///
/// glibc starts with that threshold and raises it when such blocks are freed. The detector packages that a start reads
/// and drops would then stay in the free lists: some 10 MB of an idle gateway with four detectors (`cargo xtask bench
/// runtime`: `idle`).
#[allow(
    unsafe_code,
    reason = "the C library has no other way to set this; the proof stands at the call"
)]
pub(super) fn fix_mmap_threshold() {
    const THRESHOLD_BYTES: libc::c_int = 128 << 10;
    // SAFETY: `mallopt` takes two numbers and no pointer. It sets a parameter of the allocator under the allocator's own
    // lock, every value of this parameter is sound, and memory that was handed out before stays as it is. The call is
    // the first of the program, so no other thread is there to see the change half way.
    let set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, THRESHOLD_BYTES) };
    // A refusal costs memory and nothing else.
    debug_assert_eq!(set, 1);
}
