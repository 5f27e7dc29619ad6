/// Asks the kernel for pages of the usual size, in this process and from here on.
///
/// An allocator that is given huge pages touches two megabytes where it needs a few kilobytes: a process that is to stay
/// small does without. Where the kernel knows no such choice, nothing happens.
pub fn decline_huge_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        tracing::debug!(error = %error, "huge pages could not be declined");
    }
}
