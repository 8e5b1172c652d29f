// The documents themselves, as JSON trees.
#pragma once

#include "codec/value.h"
#include "object/openapi_model.h"

namespace km::object {

codec::Value openApiV2Document();
codec::Value openApiV3Document(const ApiDocument& d);
// The v2 document in the protobuf of github.com/google/gnostic-models/openapiv2.
std::string encodeGnostic(const codec::Value& v2);

}  // namespace km::object
