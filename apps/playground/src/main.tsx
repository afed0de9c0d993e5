import { render } from 'preact';
import './styles/theme.css';
import './styles/page.css';
import './styles/batch.css';
import './styles/answers.css';
import { startWatching } from './state/activity.ts';
import { loadModels } from './state/service.ts';
import { Page } from './view/page.tsx';

const root = document.getElementById('app');
if (root !== null) render(<Page />, root);
void loadModels();
startWatching();
