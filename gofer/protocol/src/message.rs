//! The messages: operations and the fixed parts of requests and responses. What follows a fixed
//! part is written with [`crate::wire`]; its layout is told at each struct.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::attr::{Attr, Time};

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        /// What a request asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Op { $($(#[$doc])* $name = $value,)* }

        impl Op {
            /// Every operation.
            pub const ALL: &[Op] = &[$(Op::$name,)*];

            /// The operation with this number.
            pub const fn from_raw(raw: u32) -> Option<Op> {
                match raw { $($value => Some(Op::$name),)* _ => None }
            }
        }
    };
}

operations! {
    /// [`HelloRequest`] → [`HelloReply`].
    Hello = 1,
    /// [`WalkRequest`] → [`WalkReply`].
    Walk = 2,
    /// [`OpenRequest`] → [`NodeReply`] and a descriptor.
    Open = 3,
    /// [`NewRequest`] → [`NodeReply`] and a descriptor.
    Create = 4,
    /// [`NewRequest`] → [`NodeReply`].
    MakeDirectory = 5,
    /// [`NewRequest`] → [`NodeReply`].
    MakeNode = 6,
    /// [`NewRequest`] → [`NodeReply`].
    Symlink = 7,
    /// [`LinkRequest`] → [`Attr`].
    Link = 8,
    /// [`TargetRequest`] → nothing.
    Unlink = 9,
    /// [`TargetRequest`] → nothing.
    RemoveDirectory = 10,
    /// [`RenameRequest`] → nothing.
    Rename = 11,
    /// [`TargetRequest`] → [`Attr`].
    GetAttr = 12,
    /// [`SetAttrRequest`] → [`Attr`].
    SetAttr = 13,
    /// [`TargetRequest`] → bytes.
    ReadLink = 14,
    /// [`ReadDirRequest`] → [`ReadDirReply`].
    ReadDir = 15,
    /// [`TargetRequest`] → [`crate::FsStats`].
    StatFs = 16,
    /// [`XattrRequest`] → bytes.
    GetXattr = 17,
    /// [`XattrRequest`] → nothing.
    SetXattr = 18,
    /// [`TargetRequest`] → names, each ended by a zero byte.
    ListXattr = 19,
    /// [`XattrRequest`] → nothing.
    RemoveXattr = 20,
    /// [`TargetRequest`] → nothing.
    Sync = 21,
    /// [`NodesRequest`]; has no response.
    Release = 22,
    /// Nothing: the sandbox has started, and there will be less to do. Has no response.
    Settle = 23,
    /// [`SurveyRequest`] → [`SurveyReply`] and descriptors.
    Survey = 24,
    /// [`UnnamedRequest`] → [`UnnamedReply`] and descriptors.
    MakeUnnamed = 25,
    /// [`LinkRequest`] → nothing.
    Name = 26,
    /// Requests one after the other, each behind its length in bytes (`u32`). Only the last may have a
    /// response, and none may be a batch.
    Batch = 27,
    /// [`NewDirectoryRequest`] → nothing.
    MakeDirectoryAs = 28,
    /// [`NodesRequest`] → as many [`AttrReply`].
    GetAttrs = 29,
}

macro_rules! wire_structs {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default)]
            #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
            #[repr(C)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
        )*
    };
}

wire_structs! {
    /// Opens each request. `processor` is the one on which the client waits for the response,
    /// counted from one, or zero. There is no response if `is_quiet` is one. (`reserved` is zero
    /// everywhere.)
    RequestHeader { op: u32, is_quiet: u32, processor: u32, reserved: u32, }
    /// Opens each response. An `error` that is not zero ends it. `quiet_error` is that of the first
    /// quiet request to fail since the last response. `processor` is the one on which the gofer runs,
    /// counted from one.
    ResponseHeader { error: u32, fd_count: u32, quiet_error: u32, processor: u32, }
    HelloRequest { version: u32, reserved: u32, }
    HelloReply { version: u32, is_readonly: u32, max_nodes: u64, attr: Attr, }
    /// Followed by `count` names.
    WalkRequest { dir: u64, flags: u32, open_flags: u32, count: u32, reserved: u32, }
    /// Followed by `count` [`WireEntry`] and the target of the last one if it is a symbolic link
    /// (`link_bytes` bytes). `error` tells why the next component was not reached, `open_error`
    /// why there is no descriptor though one was asked for.
    WalkReply { count: u32, error: u32, open_error: u32, link_bytes: u32, }
    WireEntry { node: u64, attr: Attr, }
    /// Followed by a name; an empty one means the node itself.
    TargetRequest { node: u64, }
    /// Followed by a name as in [`TargetRequest`].
    OpenRequest { node: u64, flags: u32, wants_node: u32, }
    /// Followed by the new name, and for a symbolic link by its target.
    NewRequest {
        dir: u64,
        open_flags: u32,
        mode: u32,
        uid: u32,
        gid: u32,
        wants_node: u32,
        reserved: u32,
    }
    /// `node` is chosen by the client (see [`crate::NodeId::chosen`]). Followed by the new name.
    NewDirectoryRequest { node: u64, dir: u64, mode: u32, uid: u32, gid: u32, reserved: u32, }
    UnnamedRequest { dir: u64, mode: u32, uid: u32, gid: u32, count: u32, }
    /// Followed by `count` [`NodeReply`], which may be less than asked for, each with a descriptor.
    UnnamedReply { count: u32, reserved: u32, }
    /// `owner_error` tells why a new file does not have the owner asked for.
    NodeReply { node: u64, owner_error: u32, reserved: u32, attr: Attr, }
    /// Followed by the source's name as in [`TargetRequest`] and the new name.
    LinkRequest { node: u64, dir: u64, }
    /// Followed by the old and the new name.
    RenameRequest { old_dir: u64, new_dir: u64, flags: u32, reserved: u32, }
    /// Followed by a name as in [`TargetRequest`].
    SetAttrRequest {
        node: u64,
        mask: u32,
        mode: u32,
        uid: u32,
        gid: u32,
        size: u64,
        atime: Time,
        mtime: Time,
    }
    ReadDirRequest { dir: u64, stream: u64, offset: u64, flags: u32, reserved: u32, }
    /// Followed by `count` entries, each a [`WireDirEntry`], an [`Attr`] if it says so, a name.
    ReadDirReply { stream: u64, offset: u64, count: u32, is_end: u32, }
    WireDirEntry { ino: u64, offset: u64, kind: u32, has_attr: u32, }
    /// Followed by `count` names.
    SurveyRequest { dir: u64, flags: u32, count: u32, }
    /// Followed by `count` times a [`SurveyEntry`], which may be less than asked for.
    SurveyReply { count: u32, reserved: u32, }
    /// Followed by `count` entries as in [`ReadDirReply`] if `is_listed`. If there is an `error` all
    /// else is zero. The descriptors come in the order of the entries that have one.
    SurveyEntry { node: u64, error: u32, has_descriptor: u32, is_listed: u32, count: u32, attr: Attr, }
    /// Followed by a name as in [`TargetRequest`], the attribute's name, and the value.
    XattrRequest { node: u64, flags: u32, reserved: u32, }
    /// Followed by `count` nodes (`u64`).
    NodesRequest { count: u32, reserved: u32, }
    /// If there is an `error` all else is zero.
    AttrReply { error: u32, reserved: u32, attr: Attr, }
}
