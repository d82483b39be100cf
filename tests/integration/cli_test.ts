/**
 * The command line on real nodes: processes, sockets, signals, disks.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { connect } from "../../mod.ts";
import { isWhorlError } from "../../src/base/errors.ts";
import { readControlFile } from "../../src/node/control_file.ts";

const program = new URL("../../cli/whorl.ts", import.meta.url).href;
const decoder = new TextDecoder();

/** How long anything may take that is waited for. */
const PATIENCE_MS = 20_000;
/** How long a node may take to stop in order, its process and its parent's included. */
const STOP_MS_MAX = 5_000;

function command(
  args: readonly string[],
  options: Deno.CommandOptions = {},
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    ...options,
    args: ["run", "-A", "--unstable-kv", program, ...args],
    env: { NO_COLOR: "1", ...options.env },
  });
}

async function whorl(
  ...args: string[]
): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await command(args).output();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

async function eventually(
  what: string,
  holds: () => Promise<boolean>,
): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!await holds()) {
    assert(performance.now() < deadlineMs, what);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Runs `test` in a directory of its own; whatever runs on the data in it is ended. */
async function inDirectory(
  test: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await test(directory);
  } finally {
    for await (const { name } of Deno.readDir(directory)) {
      await whorl(
        "stop",
        "--force",
        "--timeout=1",
        `--data=${directory}/${name}`,
      );
    }
    await Deno.remove(directory, { recursive: true });
  }
}

const started = (data: string, ...more: string[]) =>
  whorl(
    "start",
    "--detach",
    "--name=t1@127.0.0.1",
    "--listen=127.0.0.1:0",
    `--data=${data}`,
    ...more,
  );

Deno.test("start --detach returns when the node answers; stop returns when it is gone", () =>
  inDirectory(async (directory) => {
    const data = `${directory}/t1`;
    const wrongModule = await started(data, `--module=${directory}/none.ts`);
    assertMatch(wrongModule.err, /^Cannot start t1@.*vnode_module_failed/);
    const start = await started(data);
    assertEquals([start.code, start.err], [0, ""]);
    assertMatch(start.out, /^t1@127.0.0.1 is up at 127.0.0.1:\d+/);
    assertEquals((await whorl("ping", "--data", data)).out, "pong\n");

    // Another one cannot have the same data.
    const second = await started(data);
    assertEquals(second.code, 1);
    // Why an earlier start failed is in the log as well, and is not told again.
    assertMatch(
      second.err,
      /a node runs there already.*\nt1@127.0.0.1 did not start; see .*node\.log\n$/,
    );

    // By name and address it wants the cookie, the right one.
    const control = await readControlFile(data);
    const port = control?.address.split(":").at(-1);
    const node = `--node=${control?.node}:${port}`;
    const byName = await whorl("ping", node, `--cookie-file=${data}/cookie`);
    assertEquals([byName.code, byName.out], [0, "pong\n"], byName.err);
    const wrong = await whorl("ping", node, "--cookie=wrong");
    assertEquals(wrong.code, 1);
    assertMatch(wrong.err, /wrong_cookie/);

    const stop = await whorl("stop", "--data", data);
    assertEquals([stop.code, stop.out], [0, "ok\n"]);
    const gone = await whorl("ping", "--data", data);
    assertEquals([gone.code, gone.err], [
      1,
      `Node is not running!\nCannot talk to a node on ${data} as none runs there\n`,
    ]);
  }));

Deno.test("a node that has left ends with its parent, says so, and is alone when started again", () =>
  inDirectory(async (directory) => {
    const [one, two] = [`${directory}/t1`, `${directory}/t2`];
    assertEquals((await started(one)).code, 0);
    const flags = [
      "--name=t2@127.0.0.1",
      "--listen=127.0.0.1:0",
      `--data=${two}`,
      `--cookie-file=${one}/cookie`,
    ];
    const parent = command(["start", ...flags], {
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const said = new Response(parent.stderr).text();
    await eventually(
      "the second node is up",
      async () => (await whorl("ping", "--data", two)).code === 0,
    );
    const { node, address } = (await readControlFile(one))!;
    const port = address.split(":").at(-1);
    const commit = async () => {
      const plan = await whorl("cluster", "plan", "--json", "--data", one);
      const { planId } = JSON.parse(plan.out);
      const done = await whorl(
        "cluster",
        "commit",
        `--plan=${planId}`,
        "--data",
        one,
      );
      assertEquals(
        [done.code, done.out],
        [0, "Cluster changes committed\n"],
        done.err,
      );
    };
    const join = await whorl(
      "cluster",
      "join",
      `${node}:${port}`,
      "--data",
      two,
    );
    assertEquals(join.code, 0, join.err);
    await commit();
    const leave = await whorl("cluster", "leave", "--data", two);
    assertEquals(
      [leave.code, leave.out],
      [0, "Success: staged leave request for 't2@127.0.0.1'\n"],
    );
    await commit();
    assertEquals((await parent.status).code, 0);
    const lines = await said;
    assertMatch(lines, /t2@127.0.0.1 has left its cluster and stops/);
    assertMatch(lines, /t2@127.0.0.1 has stopped/);
    const members = async (data: string) =>
      JSON.parse((await whorl("member-status", "--json", "--data", data)).out)
        .members.map((member: { node: string }) => member.node);
    // The other one may be told a moment later that it is gone.
    await eventually(
      "the first node is alone",
      async () => (await members(one)).join() === node,
    );

    const again = await whorl("start", "--detach", ...flags);
    assertEquals(again.code, 0, again.err);
    assertEquals(await members(two), ["t2@127.0.0.1"]);
  }));

Deno.test("a killed node is restarted by its parent, with its data", () =>
  inDirectory(async (directory) => {
    const data = `${directory}/t1`;
    assertEquals((await started(data)).code, 0);
    await whorl("put", "users", "ann", '{"age":41}', "--data", data);
    const before = await readControlFile(data);
    Deno.kill(before!.pid, "SIGKILL");
    await eventually("the node is up again", async () => {
      const now = await readControlFile(data);
      return now !== undefined && now.pid !== before!.pid;
    });
    const { out } = await whorl("get", "users", "ann", "--data", data);
    assertEquals(out, '{"age":41}\n');
    assertMatch(
      await Deno.readTextFile(`${data}/node.log`),
      /The process of t1@127\.0\.0\.1 has ended \(SIGKILL\)/,
    );
  }));

Deno.test("stop --force ends an unresponsive node", () =>
  inDirectory(async (directory) => {
    const data = `${directory}/t1`;
    assertEquals((await started(data)).code, 0);
    const { pid } = (await readControlFile(data))!;
    Deno.kill(pid, "SIGSTOP");
    const polite = await whorl("stop", "--timeout=300ms", "--data", data);
    assertEquals(polite.code, 1);
    const stop = await whorl(
      "stop",
      "--force",
      "--timeout=300ms",
      "--data",
      data,
    );
    assertEquals([stop.code, stop.out], [0, "ok\n"], stop.err);
    await eventually("the process is gone", async () => {
      const { success } = await new Deno.Command("kill", {
        args: ["-0", String(pid)],
        stderr: "null",
      }).output();
      return !success;
    });
  }));

Deno.test("a node ends when its parent is killed", () =>
  inDirectory(async (directory) => {
    const data = `${directory}/t1`;
    assertEquals((await started(data)).code, 0);
    Deno.kill(
      Number(await Deno.readTextFile(`${data}/whorl.pid`)),
      "SIGKILL",
    );
    await eventually(
      "the node has stopped in order and taken its control file away",
      async () => await readControlFile(data) === undefined,
    );
    // What the parent left behind keeps nobody from starting.
    assertEquals((await started(data)).code, 0);
  }));

Deno.test("start tells why it fails: a port in use, a foreign directory, a bad name or size", () =>
  inDirectory(async (directory) => {
    const data = `${directory}/t1`;
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const listen = `--listen=127.0.0.1:${listener.addr.port}`;
    const name = "--name=t1@127.0.0.1";
    const cases: [string[], RegExp][] = [
      [[name, listen, `--data=${data}`], /Cannot listen on 127\.0\.0\.1:\d+/],
      [["--name=../x", `--data=${data}`], /invalid_name/],
      [[name, "--ring-size=63", `--data=${data}`], /invalid_ring_size/],
      [[name, `--data=${directory}/strange`], /store_foreign/],
    ];
    await Deno.mkdir(`${directory}/strange`);
    await Deno.writeTextFile(`${directory}/strange/letter.txt`, "dear");
    for (const [args, expected] of cases) {
      const { code, err } = await whorl("start", ...args);
      assertEquals(code, 1, args.join(" "));
      assertMatch(err, expected);
    }
    const { code, err } = await whorl(
      "start",
      "--detach",
      ...cases[0]![0],
    );
    assertEquals(code, 1);
    assertMatch(
      err,
      /^Cannot start t1@.*Cannot listen on .*; see .*node\.log\n$/,
    );
  }));

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`start ends in order at ${signal}: callers are answered, and acknowledged writes are there again`, () =>
    inDirectory(async (directory) => {
      const data = `${directory}/t1`;
      const start = () =>
        command(
          ["start", "--listen=127.0.0.1:0", `--data=${data}`, "--json"],
          { stdout: "piped", stderr: "null" },
        ).spawn();
      const first = start();
      const address = await addressOf(first);
      const cookie = (await Deno.readTextFile(`${data}/cookie`)).trim();
      await using client = await connect({ nodes: [address], cookie });
      let acknowledged = 0;
      // One after the other until the node is gone, which is a failure with a name.
      const writing = (async () => {
        for (;; acknowledged++) {
          await client.kv.put("b", `${acknowledged}`, acknowledged, {
            timeoutMs: 3_000,
          });
        }
      })().catch((error) => error);
      while (acknowledged < 20) await client.kv.get("b", "0");
      const listing = client.kv.keys("b")[Symbol.asyncIterator]();
      await listing.next();
      const startedAt = performance.now();
      first.kill(signal);
      const { code } = await first.status;
      const tookMs = performance.now() - startedAt;
      assertEquals(code, 0);
      assert(tookMs < STOP_MS_MAX, `it took ${tookMs} ms`);
      const error = await writing;
      assert(isWhorlError(error), `${error}`);
      await listing.return?.();
      const second = start();
      try {
        await using again = await connect({
          nodes: [await addressOf(second)],
          cookie,
        });
        for (let i = 0; i < acknowledged; i++) {
          assertEquals((await again.kv.get("b", `${i}`)).value, i);
        }
      } finally {
        second.kill(signal);
        await second.status;
      }
    }));
}

/** Where a node that was started in the foreground says that it listens. */
async function addressOf(child: Deno.ChildProcess): Promise<string> {
  let said = "";
  for await (const bytes of child.stdout) {
    said += decoder.decode(bytes);
    if (said.includes("\n")) break;
  }
  return JSON.parse(said).address;
}

Deno.test("start continues the node in the directory, without its name and its sizes", () =>
  inDirectory(async (directory) => {
    const data = `${directory}/t1`;
    assertEquals(
      (await started(data, "--cluster=c", "--masters=2", "--ring-size=16"))
        .code,
      0,
    );
    assertEquals((await whorl("put", "b", "k", "1", "--data", data)).code, 0);
    assertEquals((await whorl("stop", "--data", data)).code, 0);
    const again = await whorl(
      "start",
      "--detach",
      "--listen=127.0.0.1:0",
      "--data",
      data,
    );
    assertEquals(again.code, 0, again.err);
    assertEquals((await whorl("get", "b", "k", "--data", data)).out, "1\n");
    assertEquals((await whorl("stop", "--data", data)).code, 0);
  }));

Deno.test("attach runs a script from a pipe against the node", () =>
  inDirectory(async (directory) => {
    const data = `${directory}/t1`;
    assertEquals((await started(data)).code, 0);
    const child = command(["attach", "--data", data], {
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(
      new TextEncoder().encode(
        'let ann = { age: 41 };\nconst put = await kv.put("users", "ann", ann)\n' +
          '(await kv.get("users", "ann")).value\nawait cluster.members()\nawait node.ping()\n',
      ),
    );
    await writer.close();
    const { code, stdout, stderr } = await child.output();
    assertEquals([code, decoder.decode(stderr)], [0, ""]);
    const out = decoder.decode(stdout);
    assertMatch(out, /^\{ age: 41 \}\n=+ Membership =+\n/);
    assertMatch(out, /"pong"\n$/);
  }));

Deno.test("dev starts three nodes, joins them, takes an import, and stops them at Ctrl-C", () =>
  inDirectory(async (directory) => {
    const child = command(
      ["dev", "--port-base=0", `--data=${directory}`, "--storage=memory"],
      { stdout: "piped", stderr: "piped" },
    ).spawn();
    const reader = child.stderr.getReader();
    let said = "";
    while (!said.includes("ready; try")) {
      const { value, done } = await reader.read();
      assert(!done, said);
      said += decoder.decode(value, { stream: true });
    }
    assertMatch(said, /dev1@127.0.0.1 is up[^]*dev2@[^]*dev3@127.0.0.1 is up/);
    assertMatch(
      said,
      /joined dev2@127.0.0.1, dev3@127.0.0.1 to dev1@127.0.0.1/,
    );
    const data = (n: number) => `--data=${directory}/dev${n}`;
    assertMatch(
      (await whorl("member-status", data(2))).out,
      /Valid:3 \/ Leaving:0 \/ Exiting:0 \/ Joining:0 \/ Down:0\n$/,
    );
    const file = `${directory}/dev1/people.ndjson`;
    const lines = Array.from({ length: 500 }, (_, id) => `{"id":${id}}\n`);
    await Deno.writeTextFile(file, lines.join(""));
    const words = ["import", file, "--bucket=p", "--key=id", "--json"];
    const first = await whorl(...words, data(1));
    assertEquals([first.code, JSON.parse(first.out).added], [0, 500]);
    const again = await whorl(...words, data(3));
    assertEquals([again.code, JSON.parse(again.out).unchanged], [0, 500]);
    assertEquals((await whorl("get", "p", "499", data(2))).out, '{"id":499}\n');

    // While it runs nothing is cleaned away.
    const clean = await whorl("dev", "--clean", `--data=${directory}`);
    assertEquals(clean.code, 1);
    assertMatch(clean.err, /stop it first/);

    child.kill("SIGINT");
    reader.releaseLock();
    const [status] = await Promise.all([
      child.status,
      child.stderr.pipeTo(new WritableStream()),
      child.stdout.cancel(),
    ]);
    assertEquals(status.code, 0);
    for (const n of [1, 2, 3]) {
      assertEquals((await whorl("ping", data(n))).code, 1);
    }
    const cleaned = await whorl("dev", "--clean", `--data=${directory}`);
    assertEquals(cleaned.out.match(/^removed /gm)?.length, 4);
  }));
