/**
 * The command line on nodes that are not Whorl: real processes, real sockets,
 * real signals, but a node is a table that answers JSON lines. For tests of what
 * the command line does with processes (parents, restarts, detaching, prompts)
 * by itself.
 *
 * A node obeys its environment: `FAKE_EXIT` lets it end with that code at once,
 * `FAKE_DEAF` makes it ignore SIGTERM.
 *
 * @module
 */
import { WhorlError } from "../../src/base/errors.ts";
import type { KvClient } from "../../src/kv/kv_client.ts";
import type {
  AdminSession,
  OpenSession,
} from "../../src/node/admin_protocol.ts";
import { readControlFile } from "../../src/node/control_file.ts";
import { eachLine } from "../lines.ts";
import { runCommandLine } from "../main.ts";
import { systemWorld } from "../system_world.ts";
import type { RunningNode, StartNode } from "../world.ts";
import { fakeSession } from "./fake_session.ts";

interface Question {
  readonly id: number;
  readonly cookie: string;
  /** An admin method, or `kv.get`, `kv.put`, `kv.delete`. */
  readonly method: string;
  // deno-lint-ignore no-explicit-any -- what a test sends is what it gets.
  readonly args: any;
}

// deno-lint-ignore require-await -- throws become rejections.
const startNode: StartNode = async (options) => {
  if (Deno.env.has("FAKE_EXIT")) Deno.exit(Number(Deno.env.get("FAKE_EXIT")));
  if (options.listen === "127.0.0.1:1") {
    throw new WhorlError("address_in_use", "Cannot listen on 127.0.0.1:1");
  }
  const [hostname, port] = options.listen!.split(":");
  const listener = Deno.listen({ hostname: hostname!, port: Number(port) });
  const session = fakeSession(options.name);
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  const open = new Set<Deno.TcpConn>();
  const node: RunningNode = {
    name: options.name,
    address: `${hostname}:${listener.addr.port}`,
    stopped,
    async stop() {
      if (Deno.env.has("FAKE_DEAF")) return await new Promise(() => {});
      for (const connection of open) connection.close();
      open.clear();
      try {
        listener.close();
      } catch (error) {
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
      resolve();
    },
    [Symbol.asyncDispose]: () => node.stop(),
  };
  void (async () => {
    for await (const connection of listener) {
      open.add(connection);
      void serve(connection).catch(() => open.delete(connection));
    }
  })();

  async function serve(connection: Deno.TcpConn): Promise<void> {
    const writer = connection.writable.getWriter();
    await eachLine(connection.readable, (line) => {
      const question: Question = JSON.parse(line);
      void answer(question).then(
        (result) => ({ id: question.id, result }),
        (error) => ({
          id: question.id,
          error: { code: error.code ?? "internal", message: error.message },
        }),
      ).then(async (reply) => {
        await writer.write(
          new TextEncoder().encode(JSON.stringify(reply) + "\n"),
        );
        if (question.method === "stop") await node.stop();
      }).catch(() => open.delete(connection));
    });
    open.delete(connection);
  }

  // deno-lint-ignore require-await -- throws become rejections.
  async function answer({ method, args, cookie }: Question): Promise<unknown> {
    if (cookie !== options.cookie) {
      throw new WhorlError("wrong_cookie", "Cannot let in another cookie");
    }
    if (method === "kv.get") return session.kv.get(args[0], args[1]);
    if (method === "kv.put") return session.kv.put(args[0], args[1], args[2]);
    if (method === "kv.hang") return new Promise(() => {});
    if (method === "cluster_join") {
      session.answers.cluster_join = { node: node.name, joined: args.node };
    }
    return session.call(method as "ping", args);
  }
  return node;
};

const openSession: OpenSession = async (target, options = {}) => {
  let address;
  let cookie = options.cookie;
  if ("dataDirectory" in target) {
    const control = await readControlFile(target.dataDirectory);
    if (control === undefined) throw notRunning();
    address = control.address;
    cookie ??= (await Deno.readTextFile(control.cookieFile!)).trim();
  } else address = target.address;
  const [hostname, port] = address.split(":");
  let connection: Deno.TcpConn;
  try {
    connection = await Deno.connect({
      hostname: hostname!,
      port: Number(port),
    });
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) throw notRunning();
    throw error;
  }
  const writer = connection.writable.getWriter();
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const closed = () => {
    for (const { reject } of waiting.values()) {
      reject(new WhorlError("connection_closed", "Cannot hear the node"));
    }
    waiting.clear();
  };
  eachLine(connection.readable, (line) => {
    const { id, result, error } = JSON.parse(line);
    const question = waiting.get(id);
    waiting.delete(id);
    if (error) question?.reject(new WhorlError(error.code, error.message));
    else question?.resolve(result);
  }).then(closed, closed);
  let count = 0;
  const ask = async (
    method: string,
    args: unknown,
    signal?: AbortSignal,
  ): Promise<unknown> => {
    const id = count++;
    const question = Promise.withResolvers<unknown>();
    waiting.set(id, question);
    signal?.addEventListener(
      "abort",
      () => question.reject(new WhorlError("cancelled", "Cannot go on")),
    );
    const line = JSON.stringify({ id, cookie, method, args }) + "\n";
    try {
      await writer.write(new TextEncoder().encode(line));
    } catch {
      closed();
    }
    return await question.promise;
  };
  const kv = {
    get: (
      bucket: string,
      key: string,
      { signal }: { signal?: AbortSignal } = {},
    ) => ask(key === "hang" ? "kv.hang" : "kv.get", [bucket, key], signal),
    put: (bucket: string, key: string, value: unknown) =>
      ask("kv.put", [bucket, key, value]),
    delete: () => Promise.reject(new Error("not in this fake")),
  } as unknown as KvClient;
  const call = (method: string, args: unknown) => ask(method, args);
  const pong = await ask("ping", {}) as { node: string };
  return {
    node: pong.node,
    kv,
    call: call as AdminSession["call"],
    [Symbol.asyncDispose]: async () => {
      await writer.close().catch(() => undefined);
    },
  };
};

function notRunning(): WhorlError {
  return new WhorlError("node_not_running", "Cannot connect: nobody answers");
}

if (import.meta.main) {
  Deno.exit(
    await runCommandLine(
      Deno.args,
      systemWorld({
        openSession,
        startNode,
        version: "0.0.0-fake",
        module: import.meta.url,
      }),
    ),
  );
}
