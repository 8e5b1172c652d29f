// What upstream's storage and validation of each resource differ in and that is no code: data, so that one generic registry serves them
// all. A strategy with code of its own may still override the questions that start from here.
#pragma once

#include "api/resource.h"

namespace km::registry {

// How a kind's own validation looks at metadata (of an update: see Strategy::repeatedMetaChecks).
struct MetaLooks {
  bool onCreate = true;        // with the kind's rule for names; else any path segment is a name
  bool finalizerNames = true;  // which finalizers are known or fully qualified
};

struct Traits {
  bool createOnUpdate = false;   // a replace of what is not there creates it
  bool needsVersion = false;     // a replace must name the resourceVersion
  bool returnsDeleted = false;   // a deletion answers with the object instead of a Status
  bool statusKeepsMetadata = false;  // an update of the status changes no metadata
  MetaLooks looks;
};

Traits traitsOf(const api::Resource& r);

}  // namespace km::registry
