// Resource lists.
#pragma once

#include "codec/list.h"
#include "codec/scalars.h"

namespace km::registry {

using ResourceList = codec::Map<codec::Quantity>;

// Quantities in resource lists are kept to thousandths, rounded up.
void roundUp(ResourceList& list);
void addTo(ResourceList& sum, const ResourceList& more);
void maxInto(ResourceList& max, const ResourceList& other);

}  // namespace km::registry
