-- Sends every image that arrives to the node, at once, and nothing that came from the node.
--
-- The node would recognise its own results, too; not sending them saves the way there. Objects without pixels to
-- analyse stay here. Orthanc tries each image once: what it could not send while the node was away is sent by hand,
-- from the study's page of its web interface.

local NODE = 'ainode'           -- under DicomModalities in orthanc.json
local NODE_AE_TITLE = 'AINODE'

-- Modality (0008,0060) of reports, segmentations, presentation states, selections, documents, plans
local NOT_IMAGES = {
  SR = true, SEG = true, PR = true, KO = true, AU = true, DOC = true, PLAN = true, REG = true,
  RTSTRUCT = true, RTPLAN = true, RTDOSE = true, RTRECORD = true
}

function OnStoredInstance(instanceId, tags, metadata, origin)
  if origin['RemoteAet'] == NODE_AE_TITLE then
    return
  end
  if NOT_IMAGES[tags['Modality']] then
    return
  end
  SendToModality(instanceId, NODE)
end
