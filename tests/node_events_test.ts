/**
 * What an application hears of its cluster by `mod.ts`: the ring, members,
 * services and transfers, each event with the fields of its type.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  type EventStream,
  type NodeEvent,
  type Ring,
  startNode,
  type WantedTransfer,
  type WhorlNode,
} from "../mod.ts";

function node(name: string): Promise<WhorlNode> {
  return startNode({
    name: `${name}@127.0.0.1`,
    cookie: "a secret all nodes share",
    ringSize: 8,
    masterPlacement: "task",
  });
}

/** The next of `events` for which `isIt`; a loop would end them. */
async function first<Event>(
  events: EventStream<Event>,
  isIt: (event: Event) => boolean,
): Promise<Event> {
  for (;;) {
    const { value: event } = await events.next();
    if (event === undefined) throw new Error("The node has stopped before");
    if (isIt(event)) return event;
  }
}

Deno.test("WhorlNode.events() reports ring, members, services and transfers while a node joins and leaves", async () => {
  await using one = await node("one");
  const two = await node("two");
  const rings = one.events("ring_changed");
  const members = one.events("member_changed");
  const services = one.events("services_changed");
  const transfers = one.events("transfer");
  const links = one.events("node_up", "node_down");
  await one.kv.put("users", "ann", { age: 41 });
  await two.join(one.address, { staged: false });

  const joined = await first(
    members,
    ({ node, after }) => node === two.name && after === "valid",
  );
  assertEquals(joined.before, "joining");
  const up: NodeEvent & { type: "node_up" | "node_down" } = await first(
    links,
    () => true,
  );
  assertEquals([up.type, up.node], ["node_up", two.name]);
  const served = await first(services, ({ up }) => up.length === 2);
  assertEquals(served.service, "kv");
  assertEquals(served.up, [one.name, two.name]);
  const owners = (ring: Ring): readonly string[] => ring.ownership.owners;
  const { ring } = await first(
    rings,
    ({ ring }) => owners(ring).filter((name) => name === two.name).length === 4,
  );
  assertEquals(ring.size, 8);
  const moved: WantedTransfer = (await first(
    transfers,
    ({ outcome }) => outcome.type === "completed",
  )).transfer;
  assertEquals([moved.kind, moved.target], ["ownership", two.name]);

  await two.stop();
  const gone = await first(links, ({ type }) => type === "node_down");
  assert(gone.type === "node_down" && gone.reason !== "", "it says why");
});

Deno.test("WhorlNode.events() ends when its node stops, with or without types", async () => {
  const one = await node("one");
  const all = one.events();
  const some = one.events("failed");
  const waiting = some.next();
  await one.stop();
  assertEquals((await waiting).done, true);
  await Array.fromAsync(all);
  assertEquals(await Array.fromAsync(one.events("ring_changed")), []);
});
