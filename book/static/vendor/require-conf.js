// Loaded between require.js and embed-amd.js: widgets and their fonts come from this folder, never from a content
// delivery network.
{
  const here = new URL(".", document.currentScript.src).href;
  document.currentScript.setAttribute("data-jupyter-widgets-cdn", here);
  const folder = here.slice(0, -1);
  require.config({
    paths: { anywidget: `${folder}/anywidget`, "@jupyter-widgets": folder, "@jupyter-widgets/html-manager/dist": folder },
  });
}
