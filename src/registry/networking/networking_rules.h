#pragma once

#include "registry/rules.h"

namespace km::registry {

// There, and fit for a segment of a URL path.
void requiredSegment(std::string_view value, const Path& p, FieldErrors& errors);
// "example.com/path": what names controllers and signers.
void validateDomainPrefixedPath(std::string_view value, const Path& p, FieldErrors& errors);

}  // namespace km::registry
