"""Clean Descriptors (PS3.15 E.3.5): a description stays as it is where every word of it is one of imaging.

A list of words that may stay is short and safe; one of names that may not is never long enough. What has one word more
goes as a whole, since what is left of a sentence without its names may still tell whom it is about.
"""

from __future__ import annotations

import re

#: Words of series, protocols and bodies, without those that are common family names (Brown, Foot, Long, Short, ...).
_TEXT = """
2d 3d 4d abd abdomen abdominal acquired adc aligned angio angiography ankle anterior aorta ap apical arm art arterial
artery asl attenuation ax axial bh bilateral biliary black blood body bold bone brain breast breath breathe breathhold
bright bronchial bssfp c ca calcium cardiac carotid cerebral cervical chest chin clavicle coil colon contrast cor
coronal coronary corrected cr cranial cranium ct cta cube cxr delayed dense diaphragm diastolic diffusion digital
dixon dose dti dual dwi dx dynamic early echo elbow enhanced epi equilibrium erect extremity eye facial fast fat femur
ff fgre fiesta filtered finger fisp flair flash flow fluid fov free fs fse full function functional gd gradient grappa
gre haste head heart helical hip hires hr humerus hyperfine iac iliac inhale inplane intracranial inv inversion ir
isotropic ivim joint kidney knee l lao large lat late lateral lava left leg liver loc localizer lordotic lower lumbar
lung lungs magnitude mammography mandible map maxilla mediastinum medium mip mlo motion mp2rage mpr mprage mr mra mrcp
mri mrv multi native navigator neck nephrographic noncontrast nonenhanced obl oblique orbit orbits pa pancreas par
parallel parenchyma pasl patella pc pd pdw pelvis perf perfusion phase pituitary plain plane planes portal post
posterior pre prone propeller prostate proton pulmonary quiet r rao recon reconstruction reformat reformatted
registered renal rest right sag sagittal scan scout se sequence series shoulder sinus skull slab slice soft space spc
spgr spin spine spiral spoiled ssfp standard stir stress subtraction supine survey swi systolic t1 t1w t2 t2star t2w
tfe thick thigh thin thoracic thorax three thumb tibia tir tirm tissue tof topogram torso tra trace transverse trufi
tse turbo ultrasound upper upright urinary us vein venous vertebra vessel vibe view views vista volume volumetric
water weighted whole window with without wo wrist xr
"""
_WORDS = frozenset(_TEXT.split())
#: A measure: a number with its unit. A bare number may be a part of a date or of an identifier: one at most.
_MEASURE = re.compile(r"\d{1,3}(mm|cm|s|sec|min|deg|kv|t)")
_BARE = re.compile(r"\d{1,2}")
_TOKEN = re.compile(r"\w+")


def is_plain(text: str) -> bool:
    """Whether a description says nothing but what, where and how was imaged."""
    tokens = _TOKEN.findall(text.casefold())
    others = [token for token in tokens if token not in _WORDS and not _MEASURE.fullmatch(token)]
    return not others or (len(others) == 1 and _BARE.fullmatch(others[0]) is not None)
