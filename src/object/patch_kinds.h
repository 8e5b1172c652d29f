// The three patch languages on document trees; patch.h puts objects around them.
#pragma once

#include "base/status.h"
#include "codec/type.h"
#include "codec/value.h"

namespace km::object {

// RFC 6902 with the readings of the library that upstream uses: negative indices count from the end,
// replacing an absent member adds it. `operations` is the decoded patch, a list of objects or nulls. An error
// carries the library's text. `touched` receives, as nested objects with true at their ends, the paths that
// the patch named.
Status applyJsonPatch(codec::Value& document, const codec::Value& operations, codec::Value& touched);

// RFC 7386. Both are objects.
void applyMergePatch(codec::Value& document, codec::Value patch, codec::Value& touched);

// Strategic merge of `patch` into the object of type `t`. Errors have upstream's codes.
Status applyStrategicPatch(codec::Value& document, codec::Value patch, const codec::TypeInfo& t);

}  // namespace km::object
