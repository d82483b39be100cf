/**
 * What keeps a node from starting, and what it says then.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { ErrorCode } from "../../../src/base/errors.ts";
import type { TestCluster } from "../../harness/test_cluster.ts";
import type { PlainNodeOptions } from "../../harness/test_node.ts";
import { DURABLE, refused, type Scenario } from "./scenario.ts";

const ONE: Scenario["cluster"] = { ...DURABLE, nodes: 1 };
/** Where it is what the files and the options are that counts, a process would add nothing. */
const INSIDE: Scenario["kinds"] = ["in_process"];

/** See the module comment. */
export const START_SCENARIOS: readonly Scenario[] = [
  {
    name: "a node does not start on an address that is in use",
    cluster: { nodes: 1 },
    async play(cluster) {
      const { address, name } = cluster.node(0);
      const error = await notStarted(cluster, "address_in_use", {
        name: name.replace("dev1", "other"),
        listen: address,
      });
      assert(error.message.includes(address), error.message);
      await cluster.node(0).kv.put("b", "k", 1);
    },
  },
  {
    name: "a node does not start on a data directory that another process uses",
    cluster: ONE,
    async play(cluster) {
      const { name } = cluster.node(0);
      const dataDirectory = `${cluster.folder}/dev1`;
      const error = await notStarted(cluster, "store_locked", {
        name,
        dataDirectory,
      });
      assert(error.message.includes(dataDirectory), error.message);
      await cluster.node(0).kv.put("b", "k", 1);
      assertEquals((await cluster.node(0).kv.get("b", "k")).value, 1);
    },
  },
  {
    name: "a node does not start on the data directory of another node",
    kinds: INSIDE,
    cluster: ONE,
    async play(cluster) {
      await cluster.node(0).stop();
      const error = await notStarted(cluster, "store_foreign", {
        name: cluster.node(0).name.replace("dev1", "other"),
        dataDirectory: `${cluster.folder}/dev1`,
      });
      assert(error.message.includes(cluster.node(0).name), error.message);
      await cluster.node(0).start();
    },
  },
  {
    name:
      "a node does not start with another ring size than its data directory's",
    kinds: INSIDE,
    cluster: ONE,
    async play(cluster) {
      await cluster.node(0).stop();
      await refused(
        "invalid_config",
        () => cluster.node(0).start({ ringSize: 32 }),
      );
      await cluster.node(0).start();
    },
  },
  {
    name:
      "a node does not start on a data directory of a newer format, and leaves it alone",
    kinds: INSIDE,
    cluster: ONE,
    async play(cluster) {
      const node = cluster.node(0);
      await node.kv.put("b", "k", 1);
      await node.stop();
      const path = `${cluster.folder}/dev1/FORMAT`;
      const format = await Deno.readTextFile(path);
      await Deno.writeTextFile(path, "whorl-data 999\n");
      const error = await refused("store_format", () => node.start());
      assert(error.message.includes("999"), error.message);
      await Deno.writeTextFile(path, format);
      await node.start();
      assertEquals((await node.kv.get("b", "k")).value, 1);
    },
  },
  {
    name: "a node does not start on a folder with other content",
    kinds: INSIDE,
    cluster: ONE,
    async play(cluster) {
      const dataDirectory = `${cluster.folder}/photos`;
      await Deno.mkdir(dataDirectory);
      await Deno.writeTextFile(`${dataDirectory}/holiday.jpg`, "");
      const error = await notStarted(cluster, "store_foreign", {
        dataDirectory,
      });
      assert(error.message.includes("holiday.jpg"), error.message);
      assertEquals([...Deno.readDirSync(dataDirectory)].length, 1);
    },
  },
  {
    name: "a node does not start on a data directory it cannot read",
    kinds: INSIDE,
    cluster: ONE,
    async play(cluster) {
      // A file where a folder must be: unreadable for every user, root as well.
      await Deno.writeTextFile(`${cluster.folder}/file`, "");
      for (const dataDirectory of ["file", "file/below", "not/there"]) {
        const path = `${cluster.folder}/${dataDirectory}`;
        const error = await notStarted(cluster, "store_unavailable", {
          dataDirectory: path,
        });
        assert(error.message.includes(path), error.message);
      }
    },
  },
  {
    name:
      "a node does not follow symbolic links out of its data directory when it starts",
    kinds: INSIDE,
    cluster: ONE,
    async play(cluster) {
      const node = cluster.node(0);
      await node.stop();
      const home = `${cluster.folder}/dev1`;
      await Deno.symlink(home, `${cluster.folder}/link`);
      await notStarted(cluster, "store_foreign", {
        name: node.name,
        dataDirectory: `${cluster.folder}/link`,
      });
      for await (const { name, isFile } of Deno.readDir(home)) {
        if (!isFile || /-(wal|shm)$/.test(name)) continue;
        await Deno.rename(`${home}/${name}`, `${cluster.folder}/outside`);
        await Deno.symlink(`${cluster.folder}/outside`, `${home}/${name}`);
        const error = await refused("store_foreign", () => node.start());
        assert(error.message.includes(name), error.message);
        await Deno.remove(`${home}/${name}`);
        await Deno.rename(`${cluster.folder}/outside`, `${home}/${name}`);
      }
      await node.start();
    },
  },
  {
    name:
      "a node does not start from a damaged ring or identity, and names the file",
    kinds: INSIDE,
    cluster: ONE,
    async play(cluster) {
      const node = cluster.node(0);
      await node.stop();
      for (const file of ["ring.json", "identity.json", "incarnation.json"]) {
        const path = `${cluster.folder}/dev1/${file}`;
        const whole = await Deno.readFile(path);
        const damaged = whole.slice();
        damaged[damaged.length - 8] = (damaged.at(-8) as number) ^ 1;
        await Deno.writeFile(path, damaged);
        const error = await refused("store_corrupt", () => node.start());
        assert(error.message.includes(file), error.message);
        await Deno.writeFile(path, whole);
      }
      await node.start();
    },
  },
  {
    name: "a node does not start with invalid options",
    kinds: INSIDE,
    cluster: { nodes: 1 },
    async play(cluster) {
      const refusals: [ErrorCode, Partial<PlainNodeOptions>][] = [
        ["invalid_name", { name: "../../etc/passwd" }],
        ["invalid_name", { name: "dev1" }],
        ["invalid_name", { name: "dev/../1@host1" }],
        ["invalid_name", { name: "" }],
        ["invalid_ring_size", { ringSize: 0 }],
        ["invalid_ring_size", { ringSize: 12 }],
        ["invalid_ring_size", { ringSize: 2048 }],
        ["invalid_config", { cookie: "" }],
        ["invalid_config", { masters: 0 }],
        ["invalid_config", { requestsMax: 0 }],
        ["invalid_config", { clusterName: "no spaces please" }],
        ["invalid_config", { storage: "deno_kv" }],
      ];
      for (const [code, options] of refusals) {
        await notStarted(cluster, code, options);
      }
    },
  },
];

/** Expects a further node with `options` not to start. */
function notStarted(
  cluster: TestCluster,
  code: ErrorCode,
  options: Partial<PlainNodeOptions>,
): Promise<Error> {
  return refused(code, () => cluster.addNode(9, options).start());
}
