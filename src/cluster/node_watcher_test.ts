import { assertEquals } from "@std/assert";
import { type ServiceList, SERVICES_MAX } from "./cluster_codec.ts";
import {
  createNodeWatcher,
  isNodeUp,
  nodesUp,
  type NodeWatcher,
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
      list: { incarnation: 1, version: 2, services: ["kv"] },
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
      list: { incarnation: 1, version: 0, services: ["kv"] },
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
      list: { incarnation: 1, version: 2, services: ["kv"] },
    },
  ]);
  assertEquals(receive(1, ["kv"]), [
    { type: "service_changed", service: "kv", up: ["a", "b"] },
  ]);
  // An answer is not answered.
  assertEquals(receive(1, ["kv"]), []);
});

/** The list that `node` sends to a peer that comes up. */
function firstListOf(node: NodeWatcher, to: string): ServiceList {
  const list = stepNodeWatcher(node, { type: "peer_up", node: to })
    .find((effect) => effect.type === "send_services")?.list;
  return list as ServiceList;
}

Deno.test("stepNodeWatcher() accepts the list of a restarted watcher that has services before it knows of a link", () => {
  const watcher = createNodeWatcher("a", 1);
  stepNodeWatcher(watcher, { type: "peer_up", node: "b" });
  stepNodeWatcher(watcher, { type: "service_up", service: "kv" });
  const receive = (list: ServiceList) =>
    stepNodeWatcher(watcher, { type: "services_received", from: "b", list })
      .map(({ type }) => type);
  const peer = (services: string[]): NodeWatcher => {
    const anew = createNodeWatcher("b", 5);
    for (const service of services) {
      stepNodeWatcher(anew, { type: "service_up", service });
    }
    return anew;
  };
  assertEquals(receive(firstListOf(peer(["kv"]), "a")), ["service_changed"]);
  // After another first list, and after a later one of each version.
  assertEquals(receive(firstListOf(peer([]), "a")), [
    "service_changed",
    "send_services",
  ]);
  for (let version = 1; version < 5; version++) {
    receive({ incarnation: 5, version, services: [] });
    assertEquals(receive(firstListOf(peer(["kv"]), "a")), [
      "service_changed",
      "send_services",
    ], `after version ${version}`);
    assertEquals(upNodes(watcher, "kv"), ["a", "b"]);
  }
});

Deno.test("stepNodeWatcher() answers the list of a restarted watcher once, and is not answered itself", () => {
  const a = createNodeWatcher("a", 1);
  const b = createNodeWatcher("b", 5);
  const say = (to: NodeWatcher, from: string, list: ServiceList) =>
    stepNodeWatcher(to, { type: "services_received", from, list })
      .flatMap((effect) =>
        effect.type === "send_services" ? [effect.list] : []
      );
  assertEquals(say(b, "a", firstListOf(a, "b")), []);
  assertEquals(say(a, "b", firstListOf(b, "a")), []);
  const anew = createNodeWatcher("b", 5);
  const [answer, ...more] = say(a, "b", firstListOf(anew, "a"));
  assertEquals(more, []);
  assertEquals(say(anew, "a", answer as ServiceList), []);
});

Deno.test("stepNodeWatcher() offers no more services than fit into one list", () => {
  const watcher = createNodeWatcher("a", 1);
  for (let i = 0; i < SERVICES_MAX + 5; i++) {
    stepNodeWatcher(watcher, { type: "service_up", service: `s${i}` });
  }
  assertEquals(servicesByNode(watcher)["a"]?.length, SERVICES_MAX);
});
