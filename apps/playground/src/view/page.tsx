import logo from '../shoal.svg';
import { AnswerList } from './answer-list.tsx';
import { AskForm } from './ask-form.tsx';
import { Batches } from './batches.tsx';
import { Charts } from './charts.tsx';
import { LatencyTable } from './latency-table.tsx';
import { ThemeChoice } from './theme-choice.tsx';

export function Page() {
  return (
    <>
      <header class="top">
        <img class="logo" src={logo} alt="" width="36" height="36" />
        <div class="title">
          <h1>Shoal</h1>
          <p>Prompts that arrive together swim together.</p>
        </div>
        <nav aria-label="Elsewhere">
          <a href="/docs">API</a>
          <BoardLink />
        </nav>
        <ThemeChoice />
      </header>
      <main>
        <div class="side">
          <AskForm />
          <LatencyTable />
        </div>
        <div class="stage">
          <Batches />
          <Charts />
        </div>
        <AnswerList />
      </main>
    </>
  );
}

/** The server says where its board is, where it has one. */
function BoardLink() {
  const board = document.querySelector<HTMLLinkElement>('link[rel=board]')?.href;
  return board === undefined ? null : <a href={board}>Job board</a>;
}
