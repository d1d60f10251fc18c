// OHIF as Orthanc's plugin serves it; the plugin itself fills in where the images are.
window.config = {
  extensions: [],
  modes: [],
  showStudyList: true,
  investigationalUseDialog: { option: 'always' },
};
