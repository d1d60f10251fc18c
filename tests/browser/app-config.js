// OHIF for the tests: one archive, which the page's own server passes on to; nothing else is asked for.
window.config = {
  routerBasename: null,
  extensions: [],
  modes: [],
  showStudyList: false,
  maxNumberOfWebWorkers: 1,
  showErrorDetails: 'always',
  investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'archive',
  dataSources: [
    {
      sourceName: 'archive',
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      configuration: {
        name: 'archive',
        friendlyName: 'Archive of the tests',
        qidoRoot: `${window.location.origin}/dicom-web`,
        wadoRoot: `${window.location.origin}/dicom-web`,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        omitQuotationForMultipartRequest: true,
        bulkDataURI: { enabled: true },
      },
    },
  ],
};
