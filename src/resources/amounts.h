// Amounts by resource name (corev1.ResourceList), and arithmetic on them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "codec/list.h"
#include "codec/scalars.h"

namespace km::resources {

using ResourceList = codec::Map<codec::Quantity>;
using Names = std::vector<std::string>;

bool isNativeResource(std::string_view name);    // without prefix, or kubernetes.io/
bool isExtendedResource(std::string_view name);  // of a device or another vendor; not "requests.x/y"

// Quantities in resource lists are kept to thousandths, rounded up.
void roundUp(ResourceList& list);
void addTo(ResourceList& sum, const ResourceList& more);
void maxInto(ResourceList& max, const ResourceList& other);
// a - b by name, nothing below zero; names of either.
ResourceList lessNothingNegative(const ResourceList& a, const ResourceList& b);
// Only these names; only what is not zero.
ResourceList only(const ResourceList& list, const Names& names);
ResourceList withoutZeros(const ResourceList& list);
// The same names with the same amounts ("1" is "1000m").
bool sameAmounts(const ResourceList& a, const ResourceList& b);
Names namesOf(const ResourceList& list);
// "cpu=1,memory=1Gi", by name.
std::string text(const ResourceList& list);

}  // namespace km::resources
