/**
 * The floor under a put at concurrency 1 with masters in workers: the same hops
 * with nothing done on them. A put goes to the local master and back, then to a
 * peer, to its master and back, and home:
 *
 *     thread ─► worker ─► thread ─► socket ─► thread ─► worker ─► thread ─► socket ─► thread
 *
 * Three processes, one bare worker each, and messages of the size of a put of 100
 * bytes. The peers are asked at once, and the first answer ends the round, as
 * with N=3 and W=2; the second peer's threads want the two cores all the same.
 *
 * @module
 */

/** Bytes of a put of 100 bytes with its frame. */
const HOP_BYTES = 170;
/** Puts in a measurement, after a tenth of that to warm up. */
const ROUNDS = 10_000;

/** Asks a bare worker and resolves when it has answered. */
class EchoWorker {
  #worker = new Worker(new URL("./echo_worker.ts", import.meta.url), {
    type: "module",
  });
  #answered: () => void = () => {};

  constructor() {
    this.#worker.onmessage = () => this.#answered();
  }

  ask(): Promise<void> {
    return new Promise((resolve) => {
      this.#answered = resolve;
      const message = new Uint8Array(HOP_BYTES);
      this.#worker.postMessage(message, [message.buffer]);
    });
  }

  close(): void {
    this.#worker.terminate();
  }
}

/** One of the two other nodes: a process with a bare worker. */
class Peer {
  /** Messages it has answered. */
  answered = 0;
  #process: Deno.ChildProcess;
  #connection!: Deno.TcpConn;
  #reading!: Promise<void>;

  constructor() {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--allow-net=127.0.0.1",
        "--allow-read",
        new URL(import.meta.url).pathname,
        "peer",
      ],
      stdout: "piped",
    }).spawn();
  }

  async connect(onAnswer: () => void): Promise<void> {
    const reader = this.#process.stdout.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    const port = Number(new TextDecoder().decode(value));
    this.#connection = await Deno.connect({ hostname: "127.0.0.1", port });
    this.#connection.setNoDelay(true);
    const into = new Uint8Array(4096);
    this.#reading = (async () => {
      while (await readAll(this.#connection, into)) {
        this.answered++;
        onAnswer();
      }
    })();
  }

  async send(message: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#connection.write(message);
  }

  async close(): Promise<void> {
    await this.#connection.closeWrite();
    await this.#reading;
    this.#connection.close();
    await this.#process.stdout.cancel();
    await this.#process.status;
  }
}

/** Median microseconds of the hops of one put. */
export async function hopFloorUs(): Promise<number> {
  const worker = new EchoWorker();
  const peers = [new Peer(), new Peer()];
  let answered: () => void = () => {};
  for (const peer of peers) await peer.connect(() => answered());
  const message = new Uint8Array(HOP_BYTES);
  const times: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const at = performance.now();
    await worker.ask();
    await new Promise<void>((resolve) => {
      // W is 2: the first of the two others is enough.
      answered = () => {
        if (peers.some((peer) => peer.answered >= round)) resolve();
      };
      for (const peer of peers) peer.send(message);
    });
    if (round > ROUNDS / 10) times.push(performance.now() - at);
  }
  worker.close();
  for (const peer of peers) await peer.close();
  times.sort((a, b) => a - b);
  return (times[times.length >> 1] as number) * 1000;
}

async function readAll(
  connection: Deno.TcpConn,
  into: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  for (let got = 0; got < HOP_BYTES;) {
    const count = await connection.read(into);
    if (count === null) return false;
    got += count;
  }
  return true;
}

/** The other end: each segment goes to a worker and back before it is answered. */
async function runPeer(): Promise<void> {
  const worker = new EchoWorker();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  await Deno.stdout.write(new TextEncoder().encode(`${port}\n`));
  using connection = await listener.accept();
  connection.setNoDelay(true);
  const into = new Uint8Array(4096);
  const message = new Uint8Array(HOP_BYTES);
  while (await readAll(connection, into)) {
    await worker.ask();
    await connection.write(message);
  }
  worker.close();
}

if (import.meta.main && Deno.args[0] === "peer") await runPeer();
