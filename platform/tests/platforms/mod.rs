//! The cases; each runs in a process of its own.

pub mod bench;
pub mod calls;
pub mod changes;
pub mod familiar;
mod faults;
pub mod filters;
pub mod futexes;
pub mod guest;
pub mod hostile;
pub mod hotline;
pub mod incomplete;
pub mod kind;
pub mod lifetime;
pub mod memory;
pub mod nursery;
pub mod patching;
mod prepared;
pub mod processes;
pub mod wakeups;

use kind::Kind;

/// A name and what to run.
pub type Case = (&'static str, fn());

/// Makes a table of cases from functions.
#[macro_export]
macro_rules! cases {
    ($($module:ident: $($name:ident),+ $(,)?;)*) => {
        &[$($((stringify!($name), $module::$name as fn()),)+)*]
    };
}

/// What every platform must do.
const COMMON: &[Case] = cases! {
    calls: a_fresh_process_is_blank, a_syscall_traps_with_its_registers,
        arguments_and_results_pass, a_restart_code_stays_a_number,
        single_steps_trap_once_each, the_vdso_works, floating_point_state_is_per_thread,
        segment_bases_are_kept, the_vsyscall_page_is_as_the_host_has_it;
    faults: page_faults_tell_address_and_access, other_exceptions_have_their_signals,
        a_file_shorter_than_its_mapping_is_sigbus, hostile_registers_fault_in_the_guest;
    memory: copies_stop_at_the_first_bad_byte, forced_writes_ignore_protection,
        a_heap_is_where_it_was_placed, files_map_with_the_rights_they_have, a_stub_keeps_no_descriptor_to_write_by, a_stub_keeps_one_descriptor_at_most, files_are_held_for_their_domain,
        operations_in_a_row_end_at_the_first_failure,
        the_reserved_region_is_out_of_reach, memory_operations_work,
        mappings_and_usage_leave_out_the_stub, limits_bind_the_host, large_copies_are_whole,
        stacks_grow_for_the_kernel_as_for_the_guest, all_memory_can_be_locked;
    processes: fork_copies_memory, a_word_is_written_at_birth, vfork_shares_memory, threads_share_memory,
        a_dropped_thread_leaves_the_others, a_dropped_leader_leaves_the_others,
        a_running_thread_can_be_dropped, many_processes_trap_together, a_copy_outlives_its_parent,
        stubs_have_no_rights;
    incomplete: completing_keeps_the_call, a_complete_thread_can_be_changed,
        operations_of_an_incomplete_thread_keep_the_result, operations_end_in_a_resume, steps_start_and_end_at_calls,
        interrupts_race_with_everything;
    futexes: words_are_changed;
    wakeups: a_spinning_thread_is_interrupted, an_interrupt_of_a_trapped_thread_waits,
        interrupts_are_never_lost, unpark_before_park_is_kept, unparks_are_never_lost,
        a_deadline_ends_parking, foreign_signals_are_swallowed, stop_and_continue_are_swallowed;
    lifetime: a_killed_stub_is_dead, kills_in_the_middle_of_operations,
        a_killed_process_with_threads_is_reaped, dropping_the_platform_leaves_nothing,
        a_killed_sentry_leaves_nothing, only_one_platform_at_a_time;
    filters: the_platform_works_under_the_sentry_filter, each_listed_call_is_allowed,
        everything_else_kills_the_sentry;
};

const PTRACE: &[Case] = cases! {
    calls: foreign_calls_are_told_apart, a_call_from_the_stub_page_traps;
    filters: the_stub_filter_kills;
};

const SYSTRAP: &[Case] = cases! {
    hotline: calls_go_by_the_line, each_call_is_made_once_in_a_storm, bytes_go_along_and_come_back,
        what_does_not_fit_goes_the_long_way, a_long_call_waits_in_the_host,
        memory_that_goes_away_is_efault, threads_end_and_fork_at_the_line;
    calls: foreign_calls_do_not_exist;
    changes: memory_is_changed_without_a_word, memory_that_is_accounted_for_is_not_changed,
        no_change_is_made_twice, patches_are_left_out;
    nursery: blank_processes_wait_for_programs, a_killed_blank_process_is_not_used,
        blank_processes_end_with_the_platform;
    futexes: waits_do_not_trap_and_are_interrupted, caught_calls_are_made_when_told,
        waits_with_a_timeout_end_when_interrupted, foreign_signals_do_not_end_waits_unseen,
        other_operations_trap,
        a_word_is_cleared_when_a_thread_ends, nothing_is_cleared_by_the_last_thread,
        a_changed_word_wakes_who_waits;
    hostile: the_doorbell_is_no_call_of_the_guest,
        unlisted_calls_from_the_stub_kill, clones_by_the_guest_kill,
        filters_by_the_guest_kill, heaps_placed_by_the_guest_kill, a_silent_exit_is_noticed,
        a_blocked_kick_ends_in_death, descriptors_are_the_guests_own,
        the_window_cannot_be_unmapped, rings_with_any_arguments, jumps_into_the_stub,
        scribbling_siblings, scribbles_over_a_conduit, a_command_without_end;
    patching: hot_sites_are_patched, nothing_is_patched_without_an_identity,
        served_calls_answer_like_the_host, clocks_are_read_in_a_storm_of_interrupts, flags_are_kept, nothing_is_lost_in_a_storm_of_interrupts,
        single_steps_see_the_guests_own_code, patches_do_not_show,
        forks_and_threads_are_told_apart, threads_run_fast_calls_side_by_side,
        a_segment_base_that_the_guest_loads_is_not_found, forced_writes_go_below_patches,
        code_can_be_changed, code_can_be_replaced, areas_are_free_memory;
    familiar: sites_of_a_file_are_patched_together;
    memory: a_thread_goes_on_unless_its_operation_fails;
    prepared: cpuid_says_what_the_processor_says, prepared_code_reads_as_the_file_has_it,
        what_stands_for_cpuid_is_forbidden_elsewhere;
};

/// Systrap's, and only when asked for.
const SOAKS: &[Case] = cases! {
    hostile: soak;
    patching: served_getpid;
};

const BENCHMARKS: &[Case] = cases! {
    bench: getpid_round_trip, getpid_beside_a_spinner, mmap_munmap, map_file, fork_and_drop,
        thread_and_drop, copy_one_page;
};

/// Cases that other cases start as processes.
pub const HELPERS: &[Case] = cases! {
    lifetime: runs_forever, runs_in_a_namespace;
    filters: makes_a_forbidden_call, makes_a_forbidden_stub_call;
};

/// The cases of a platform.
pub fn of(kind: Kind) -> impl Iterator<Item = &'static Case> {
    let own = match kind {
        Kind::Ptrace => PTRACE,
        Kind::Systrap => SYSTRAP,
    };
    COMMON.iter().chain(own)
}

/// Those that run only when asked for.
pub fn ignored(kind: Kind) -> impl Iterator<Item = &'static Case> {
    let own = match kind {
        Kind::Ptrace => &[],
        Kind::Systrap => SOAKS,
    };
    BENCHMARKS.iter().chain(own)
}
