/** `store roles` and `store login`: an etcd of the user's own knows each host by a certificate of its own. */
import type { Command } from 'commander';
import type { StoreRoles } from '../../gen/overlayd/v1/control.ts';
import { etcdRequest } from '../etcd-options.ts';
import { UsageError } from '../exit.ts';
import { addJsonOption, printJson } from '../output.ts';
import type { Session } from '../session.ts';

interface RolesOptions {
  readonly userBy: 'name' | 'id';
  readonly format: string;
}

interface LoginOptions {
  readonly etcdCa?: string;
  readonly etcdCert: string;
  readonly etcdKey: string;
  readonly format: string;
}

export function addRoles(store: Command, session: Session): void {
  const command = store
    .command('roles')
    .description('Print what to run so that an etcd of your own lets each host write what is its own alone')
    .option('--user-by <what>', "what is the CN of a host's certificate: its name, or its node's id", 'name');
  addJsonOption(command)
    .addHelpText(
      'after',
      `
Each host gets a certificate for etcd with its name as CN (\`overlayd store login\`); etcd has to run with
--client-cert-auth. Nothing is changed by this command; run it again, and what it prints, when hosts came.
The bundled etcd is set up by itself.

Examples:
  overlayd store roles > roles.sh
  overlayd store roles --user-by id --format json`,
    )
    .action(async ({ userBy, format }: RolesOptions) => {
      if (userBy !== 'name' && userBy !== 'id') {
        throw new UsageError(`--user-by: "${userBy}" is neither name nor id`);
      }
      const byId = userBy === 'id';
      const roles = await session.ask('asking which hosts there are', (client) => client.getStoreRoles({ byId }));
      if (format === 'json') return printJson(session, rolesJson(roles));
      session.print(rolesText(roles));
    });
}

function rolesText({ commands, joiningRoles }: StoreRoles): string {
  const grants = joiningRoles.map((role) => `#   etcdctl user grant-role CN ${role}`);
  return `# As etcd's root, with ETCDCTL_API=3 and etcdctl's --endpoints, --cacert, --cert, --key (or ETCDCTL_CACERT, …).
# Lines that fail because it is so already do no harm.
${commands.join('\n')}

# The certificate that \`init\` was given is what hosts have until \`overlayd store login\`. While hosts join:
#   etcdctl user add CN --no-password
${grants.join('\n')}
# and when they have logged in:
#   etcdctl user revoke-role CN ${joiningRoles.at(-1)}

# Then \`overlayd store login\` on each host. Last, and once: a root of your own (it asks for a password; or --no-password
# and a certificate with CN=root), then etcd asks who somebody is.
etcdctl user add root
etcdctl user grant-role root root
etcdctl auth enable`;
}

function rolesJson({ commands, roles, users }: StoreRoles) {
  return {
    Roles: roles.map(({ name, permissions }) => ({
      Name: name,
      Permissions: permissions.map(({ type, key, prefix }) => ({ Type: type, Key: key, Prefix: prefix })),
    })),
    Users: users.map(({ name, roles: held }) => ({ Name: name, Roles: held })),
    Commands: commands,
  };
}

export function addLogin(store: Command, session: Session): void {
  const command = store
    .command('login')
    .description('Give this host a certificate of its own for an etcd of your own')
    .requiredOption('--etcd-cert <file>', "this host's client certificate (PEM) for etcd")
    .requiredOption('--etcd-key <file>', 'key (PEM) of that certificate')
    .option('--etcd-ca <file>', "certificate (PEM) of the authority that signed etcd's, where it is another one now");
  addJsonOption(command)
    .addHelpText(
      'after',
      `
etcd is asked with it first, and the node's record written as it is: what etcd refuses changes nothing here. The
member starts anew with it; traffic and names go on. Other hosts, and those that join, are not told of it. Which
users and roles etcd needs: \`overlayd store roles\`.

Example:
  overlayd store login --etcd-cert host2.pem --etcd-key host2-key.pem`,
    )
    .action(async ({ etcdCa, etcdCert, etcdKey, format }: LoginOptions) => {
      const files = { ...(etcdCa !== undefined && { etcdCa }), etcdCert, etcdKey };
      const { etcdEndpoints: _, ...request } = await etcdRequest({ ...files, etcd: ['https://as-before'] }, session);
      const result = await session.ask('changing the certificate for etcd', (client, report) =>
        client.logInToStore(request, report),
      );
      session.warn(result.warnings);
      const { clusterId, nodeName, warnings } = result;
      if (format === 'json') printJson(session, { ClusterID: clusterId, NodeName: nodeName, Warnings: warnings });
      else session.print('This host has its own certificate for etcd now.');
    });
}
