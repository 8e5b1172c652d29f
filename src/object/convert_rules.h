// What differs between versions of a kind beyond fields that one of them lacks.
#pragma once

#include "codec/type.h"
#include "codec/value.h"

namespace km::object {

// Changes a document of one version into one of the other.
using ConversionRule = void (*)(codec::Value& v);

// Null where the fields of both have the same names.
ConversionRule conversionRule(const codec::TypeInfo& from, const codec::TypeInfo& to);

// autoscaling: v1 keeps in annotations what it has no fields for.
void autoscalerToV1(codec::Value& v);
void autoscalerToV2(codec::Value& v);

}  // namespace km::object
