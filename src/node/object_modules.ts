/**
 * The modules whose objects are versioned. Wherever coordinators run they must
 * know how such objects become one.
 *
 * @module
 */
import { kvObjectMerge } from "../kv/kv_object.ts";
import { KvCommand } from "../kv/kv_vnode.ts";
import type { ObjectCommands } from "../request/object_merge.ts";
import { moduleIdOf } from "../vnode/vnode_wire.ts";

/** Modules whose objects are versioned, by module number. */
export const OBJECT_MODULES: ReadonlyMap<number, ObjectCommands> = new Map([
  [moduleIdOf("kv"), { merge: KvCommand.merge, objects: kvObjectMerge }],
]);
