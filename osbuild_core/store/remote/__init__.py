"""The remote cache: finished trees and source files that machines exchange, in a form that no store depends on."""
