/**
 * The library under a process that writes as a store does: each fault strikes,
 * is counted, and is gone when it is taken back.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { textLines } from "../harness/text_lines.ts";
import { compileFaultLibrary, DiskControl } from "./fault_library.ts";

const CHILD = new URL("testdata/disk_child.ts", import.meta.url).pathname;
const WRITEV_CHILD = new URL("testdata/writev_child.ts", import.meta.url)
  .pathname;

/** Plays with the library and a folder, unless there is none here. */
async function withLibrary(
  play: (library: string, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "whorl-nemesis-" });
  try {
    const library = await compileFaultLibrary(folder);
    if ("path" in library) return await play(library.path, folder);
    // deno-lint-ignore no-console -- what was not tested must be seen.
    console.log(`      skipped: ${library.missing}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("fault_library.c harms the files of its folder and the wall clock, as long as it is told to", () =>
  withLibrary(async (library, folder) => {
    const [ours, others] = [`${folder}/ours`, `${folder}/others`];
    await Deno.mkdir(ours);
    await Deno.mkdir(others);
    const control = new DiskControl(library, `${folder}/control`, ours);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "-A", "--unstable-kv", CHILD],
      env: control.environment,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const input = child.stdin.getWriter();
    const answers = textLines(child.stdout);
    const ask = async (path: string): Promise<Answer> => {
      await input.write(new TextEncoder().encode(`${path}\n`));
      return JSON.parse((await answers.next()).value as string);
    };
    try {
      const well = await ask(`${ours}/a.kv`);
      assertEquals(well.error, undefined);
      assert(Math.abs(well.clockMs - Date.now()) < 60_000);

      control.order({ syncDelayUs: 150_000 });
      const slow = await ask(`${ours}/a.kv`);
      assert(slow.error === undefined && slow.tookMs >= 150, `${slow.tookMs}`);
      assertEquals((await ask(`${others}/a.kv`)).error, undefined);
      control.order({ syncDelayUs: 0 });
      const { syncsDelayed } = control.counts();
      assert(syncsDelayed > 0);

      for (const order of ["syncErrorPpm", "writeErrorPpm"] as const) {
        const before = control.counts().errors;
        control.order({ [order]: 1_000_000 });
        assertEquals((await ask(`${ours}/a.kv`)).error, "disk I/O error");
        assertEquals((await ask(`${others}/a.kv`)).error, undefined);
        control.order({ [order]: 0 });
        assert(control.counts().errors > before);
        assertEquals((await ask(`${ours}/a.kv`)).error, undefined);
      }

      control.order({ full: 1 });
      const full = await ask(`${ours}/a.kv`);
      assertEquals(full.error, "database or disk is full");
      assertEquals((await ask(`${others}/a.kv`)).error, undefined);
      control.order({ full: 0 });
      assert(control.counts().refusals > 0);
      assertEquals((await ask(`${ours}/a.kv`)).error, undefined);

      control.order({ shortWritePpm: 500_000 });
      assertEquals((await ask(`${ours}/a.kv`)).error, undefined);
      assertEquals((await ask(`${others}/a.kv`)).error, undefined);
      control.order({ shortWritePpm: 0 });
      assert(control.counts().shortWrites > 0);

      control.order({ clockRatePpm: 1_000_000_000 });
      const [first, second] = [
        await ask(`${ours}/a.kv`),
        await ask(`${ours}/a.kv`),
      ];
      // A thousand times as fast, where at least a millisecond has passed.
      assert(second.clockMs - first.clockMs > 1_000, "as fast as ever");
      control.order({ clockRatePpm: 0 });
      const right = await ask(`${ours}/a.kv`);
      assert(Math.abs(right.clockMs - Date.now()) < 60_000);

      control.order({ clockOffsetUs: 3_600_000_000 });
      const late = await ask(`${ours}/a.kv`);
      assert(Math.abs(late.clockMs - Date.now() - 3_600_000) < 60_000);
      // The clock that measures time is not harmed.
      assert(late.tookMs < 60_000);
      assertEquals(control.counts().syncsDelayed, syncsDelayed);
    } finally {
      await input.close();
      await answers.return(undefined);
      await child.status;
    }
  }));

for (const lengths of [[1_000], [600, 0, 400]]) {
  Deno.test(`fault_library.c cuts a write of ${lengths.length} parts short`, () =>
    withLibrary(async (library, folder) => {
      const control = new DiskControl(library, `${folder}/control`, folder);
      control.order({ shortWritePpm: 1_000_000 });
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--quiet", "-A", WRITEV_CHILD],
          ...[`${folder}/written`, library, ...lengths.map(String)],
        ],
        env: control.environment,
      }).output();
      const decoder = new TextDecoder();
      const said = decoder.decode(stdout);
      assert(said !== "", decoder.decode(stderr));
      const { taken, size } = JSON.parse(said);
      assert(taken >= 1 && taken < 1_000, `${taken} bytes`);
      assertEquals(size, taken);
      assertEquals(control.counts().shortWrites, 1);
    }));
}

/** What the child says of one write. */
interface Answer {
  readonly error?: string;
  readonly tookMs: number;
  readonly clockMs: number;
}
