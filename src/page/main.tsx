/** The page of `overlayd ui`: bundled by `deploy/build.ts`, served by `src/ui`. */
import { render } from 'preact';
import { App } from './app.tsx';
import { start } from './cluster.ts';

render(<App />, document.getElementById('app')!);
void start();
