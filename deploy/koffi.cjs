/**
 * In the bundles, in place of the package `koffi`: that is native code, which cannot be bundled and is found in
 * `node_modules` when a program starts.
 */
try {
  module.exports = require('koffi');
} catch (error) {
  const [why] = String(error.message).split('\n');
  console.error(
    `overlayd: the npm package koffi, by which the kernel is called, cannot be loaded (${why}): run \`npm run setup\` in the checkout that this build belongs to`,
  );
  process.exit(1);
}
