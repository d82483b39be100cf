/**
 * Nodes that run flavio, for tests of it.
 *
 * @module
 */
import {
  Flavio,
  type Listing,
  type Read,
  type Replica,
} from "../../examples/flavio/flavio.ts";
import flavioModule from "../../examples/flavio/flavio_vnode.ts";
import type { Message } from "../../examples/flavio/message.ts";
import { assertEquals } from "@std/assert";
import { type NodeOptions, startNode, type WhorlNode } from "../../mod.ts";

/** The secret of its nodes. */
export const cookie = "a secret all nodes share";

/** Starts a node that runs flavio in its own thread. */
export function startFlavioNode(
  name = "flavio@127.0.0.1",
  options: Partial<NodeOptions> = {},
): Promise<WhorlNode> {
  return startNode({
    name,
    cookie,
    ...options,
    modules: [{
      url: new URL("../../examples/flavio/flavio_vnode.ts", import.meta.url),
      module: flavioModule as never,
    }],
    masterPlacement: "task",
  });
}

/** The time at which messages are posted, in milliseconds since 1970. */
export const NOW = 1_400_000_000_000;

/** The application on `node`. */
export function flavioOf(node: WhorlNode, origin = "here"): Flavio {
  return new Flavio(node.module(flavioModule), { now: () => NOW, origin });
}

/** The partitions of rows. */
export function partitionsOf(rows: readonly Replica[]): number[] {
  return rows.map(({ partition }) => partition);
}

/** The messages of a reply. @throws {Error} If it is a failure. */
export function messagesIn(reply: Read): readonly Message[] {
  if ("messages" in reply) return reply.messages;
  throw new Error(`${reply.partition} has answered ${reply.error}`);
}

/** The names in a listing, by partition. */
export function namesOf(
  { status, rows }: Listing<Replica & { readonly names: readonly string[] }>,
): [number, readonly string[]][] {
  assertEquals(status, "ok");
  return rows.map(({ partition, names }) => [partition, names]);
}
