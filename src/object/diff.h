// What differs between two objects of one type, without making documents of what is the same.
#pragma once

#include "api/object.h"
#include "object/typed.h"

namespace km::object {

Comparison compareObjects(const api::Object& before, const api::Object& after);

// Whether the JSON of both is the same, text for text: unlike codec::equal, "1Gi" is not "1024Mi".
bool sameText(const void* a, const void* b, const codec::TypeInfo& t);
bool sameFieldText(const void* a, const void* b, const codec::Field& f);

}  // namespace km::object
