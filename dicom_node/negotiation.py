"""An association request as values: who asks, for what, and what of it was not accepted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE

from dicom_node.admission import AssociationRequest
from dicom_node.domain.calls import RefusedContext


def request_of(association: Association, others: Sequence[Association] = ()) -> AssociationRequest:
    """Who asks to come in beside `others`."""
    primitive = _asked(association)
    calling = str(primitive.calling_ae_title).strip()
    return AssociationRequest(
        calling_ae_title=calling,
        called_ae_title=str(primitive.called_ae_title).strip(),
        address=str(association.requestor.address),
        open_associations=len(others),
        open_of_caller=sum(str(_asked(other).calling_ae_title).strip() == calling for other in others),
    )


def refused_contexts(association: Association) -> tuple[RefusedContext, ...]:
    """The presentation contexts of an accepted association that were proposed in vain, in their order."""
    results = {context.context_id: context.result for context in association.rejected_contexts}
    return tuple(
        RefusedContext(
            str(proposed.abstract_syntax),
            tuple(map(str, proposed.transfer_syntax)),
            int(results[proposed.context_id] or 0),
        )
        for proposed in _asked(association).presentation_context_definition_list
        if proposed.context_id in results
    )


def _asked(association: Association) -> A_ASSOCIATE:
    return cast(A_ASSOCIATE, association.requestor.primitive)
