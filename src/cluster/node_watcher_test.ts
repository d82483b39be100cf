import { assertEquals } from "@std/assert";
import { SERVICES_MAX } from "./cluster_codec.ts";
import {
  createNodeWatcher,
  isNodeUp,
  nodesUp,
  servicesByNode,
  stepNodeWatcher,
  upNodes,
} from "./node_watcher.ts";

/** A watcher on a with a link to b, which offers kv. */
function watching() {
  const watcher = createNodeWatcher("a", 1);
  stepNodeWatcher(watcher, { type: "peer_up", node: "b" });
  stepNodeWatcher(watcher, {
    type: "services_received",
    from: "b",
    list: { incarnation: 5, version: 2, services: ["kv"] },
  });
  return watcher;
}

Deno.test("stepNodeWatcher() notifies every peer and the subscribers when a service starts and stops", () => {
  const watcher = watching();
  const up = stepNodeWatcher(watcher, { type: "service_up", service: "kv" });
  assertEquals(up, [
    {
      type: "send_services",
      to: "b",
      list: { incarnation: 1, version: 1, services: ["kv"] },
    },
    { type: "service_changed", service: "kv", up: ["a", "b"] },
  ]);
  assertEquals(
    stepNodeWatcher(watcher, { type: "service_up", service: "kv" }),
    [],
  );
  const down = stepNodeWatcher(watcher, {
    type: "service_down",
    service: "kv",
  });
  assertEquals(down.map((effect) => effect.type), [
    "send_services",
    "service_changed",
  ]);
  assertEquals(upNodes(watcher, "kv"), ["b"]);
});

Deno.test("stepNodeWatcher() sends its services to a peer that comes up", () => {
  const watcher = createNodeWatcher("a", 1);
  stepNodeWatcher(watcher, { type: "service_up", service: "kv" });
  assertEquals(stepNodeWatcher(watcher, { type: "peer_up", node: "b" }), [
    { type: "node_up", node: "b" },
    {
      type: "send_services",
      to: "b",
      list: { incarnation: 1, version: 1, services: ["kv"] },
    },
  ]);
});

Deno.test("stepNodeWatcher() counts services only of nodes that are up", () => {
  const watcher = createNodeWatcher("a", 1);
  // Its list may arrive before the link is reported.
  const list = { incarnation: 5, version: 2, services: ["kv"] };
  stepNodeWatcher(watcher, { type: "services_received", from: "b", list });
  assertEquals(upNodes(watcher, "kv"), []);
  stepNodeWatcher(watcher, { type: "peer_up", node: "b" });
  assertEquals(upNodes(watcher, "kv"), ["b"]);
});

Deno.test("stepNodeWatcher() drops the services of a node that is no longer a member", () => {
  const watcher = watching();
  assertEquals(
    stepNodeWatcher(watcher, {
      type: "peer_down",
      node: "b",
      reason: "killed",
    }),
    [
      { type: "node_down", node: "b", reason: "killed" },
      { type: "service_changed", service: "kv", up: [] },
    ],
  );
  // Back without its services: nobody may be sent there yet.
  stepNodeWatcher(watcher, { type: "peer_up", node: "b" });
  assertEquals(upNodes(watcher, "kv"), []);
  assertEquals(isNodeUp(watcher, "b"), true);
});

Deno.test("stepNodeWatcher() leaves out a node while it is suspected, and counts it again afterwards", () => {
  const watcher = watching();
  assertEquals(stepNodeWatcher(watcher, { type: "peer_suspect", node: "b" }), [
    { type: "node_down", node: "b", reason: "suspected" },
    { type: "service_changed", service: "kv", up: [] },
  ]);
  assertEquals(
    stepNodeWatcher(watcher, { type: "peer_suspect", node: "b" }),
    [],
  );
  assertEquals(nodesUp(watcher), ["a"]);
  assertEquals(stepNodeWatcher(watcher, { type: "peer_alive", node: "b" }), [
    { type: "node_up", node: "b" },
    { type: "service_changed", service: "kv", up: ["b"] },
  ]);
});

Deno.test("stepNodeWatcher() reports a suspected node whose link then ends as down once", () => {
  const watcher = watching();
  stepNodeWatcher(watcher, { type: "peer_suspect", node: "b" });
  assertEquals(
    stepNodeWatcher(watcher, { type: "peer_down", node: "b", reason: "gone" }),
    [],
  );
});

Deno.test("stepNodeWatcher() ignores a list of services that is older than the one it has", () => {
  const watcher = watching();
  const receive = (incarnation: number, version: number) =>
    stepNodeWatcher(watcher, {
      type: "services_received",
      from: "b",
      list: { incarnation, version, services: [] },
    });
  assertEquals(receive(5, 1), []);
  assertEquals(receive(5, 2), []);
  assertEquals(receive(4, 99), []);
  assertEquals(upNodes(watcher, "kv"), ["b"]);
  // A later start counts from the beginning again.
  receive(6, 0);
  assertEquals(upNodes(watcher, "kv"), []);
});

Deno.test("stepNodeWatcher() accepts the list of a peer whose watcher has restarted, and sends that peer its own services", () => {
  const watcher = watching();
  stepNodeWatcher(watcher, { type: "service_up", service: "kv" });
  const receive = (version: number, services: string[]) =>
    stepNodeWatcher(watcher, {
      type: "services_received",
      from: "b",
      list: { incarnation: 5, version, services },
    });
  assertEquals(receive(0, []), [
    { type: "service_changed", service: "kv", up: ["a"] },
    {
      type: "send_services",
      to: "b",
      list: { incarnation: 1, version: 1, services: ["kv"] },
    },
  ]);
  assertEquals(receive(1, ["kv"]), [
    { type: "service_changed", service: "kv", up: ["a", "b"] },
  ]);
  // An answer is not answered.
  assertEquals(receive(1, ["kv"]), []);
});

Deno.test("stepNodeWatcher() offers no more services than fit into one list", () => {
  const watcher = createNodeWatcher("a", 1);
  for (let i = 0; i < SERVICES_MAX + 5; i++) {
    stepNodeWatcher(watcher, { type: "service_up", service: `s${i}` });
  }
  assertEquals(servicesByNode(watcher)["a"]?.length, SERVICES_MAX);
});
