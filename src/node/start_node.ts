/**
 * Starting a node: options in, a running node out.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { Environment } from "../environment/environment.ts";
import kvModule from "../kv/kv_vnode.ts";
import { loadVnodeModule } from "../vnode/vnode_master_program.ts";
import { performCall } from "./admin_methods.ts";
import { moduleConfigFlags } from "./module_config.ts";
import { WhorlNode } from "./node.ts";
import { NodeParts } from "./node_parts.ts";
import {
  type ModuleOptions,
  type NodeConfig,
  type NodeOptions,
  resolveNodeOptions,
} from "./node_options.ts";
import { systemEnvironment } from "./system_environment.ts";
import type { HostedModule } from "./vnode_manager.ts";

const KV_URL = new URL("../kv/kv_vnode.ts", import.meta.url).href;

/**
 * Starts a node. It is up when this resolves: it listens, its stored ring is
 * restored, its vnode masters run.
 *
 * ```ts
 * await using node = await startNode({
 *   name: "dev1@127.0.0.1",
 *   cookie: "a secret all nodes share",
 * });
 * await node.kv.put("users", "ann", { age: 41 });
 * ```
 *
 * @throws {WhorlError} `invalid_name`, `invalid_config`, `invalid_ring_size`,
 * `address_in_use`, one of the `store_…` codes, `vnode_module_failed`.
 */
export async function startNode(options: NodeOptions): Promise<WhorlNode> {
  const config = resolveNodeOptions(options);
  const environment = options.environment ?? systemEnvironment();
  if (config.storage === "deno_kv" && !environment.disk.hasKv) {
    throw new WhorlError(
      "invalid_config",
      'Cannot start a node that stores in Deno KV as this program was started without it: pass --unstable-kv to deno, or put "unstable": ["kv"] into its deno.json',
    );
  }
  const modules: HostedModule[] = [{
    name: kvModule.name,
    url: KV_URL,
    module: kvModule,
    mailbox: config.kvMailbox,
    subprocessFlags: [],
  }];
  for (const module of config.modules) {
    modules.push(await hosted(module, config, environment));
  }
  const node = new WhorlNode(new NodeParts(config, environment, modules));
  await node.start(performCall);
  return node;
}

async function hosted(
  options: ModuleOptions,
  { masterPlacement }: NodeConfig,
  { disk }: Environment,
): Promise<HostedModule> {
  const url = new URL(options.url).href;
  const module = options.module ?? await loadVnodeModule(url);
  return {
    name: module.name,
    url,
    module,
    subprocessFlags: masterPlacement === "subprocess"
      ? await moduleConfigFlags(url, disk)
      : [],
  };
}
